import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { History, stepBytes, TILE, Transaction } from "../../static/js/document/history.js";
import { createMap, readRect, resizeNearest } from "../../static/js/document/labelmap.js";
import {
  conversion,
  findMeaning,
  groupLabels,
  idOfMeaning,
  matches,
  nearestLabel,
  sameSet,
} from "../../static/js/document/labelset.js";
import { capsule } from "../../static/js/document/raster.js";
import { dice, LANDSCAPE } from "./helpers.js";

/** @typedef {import("../../static/js/document/document.js").Change} Change */

const WIDTH = 100;
const HEIGHT = 70;

function newDocument() {
  return new LabelDocument({
    id: "a",
    title: "A",
    map: createMap(WIDTH, HEIGHT, 1),
    labelSet: LANDSCAPE,
    seed: 1,
  });
}

/** @param {LabelDocument} document @param {(below: number) => number} roll */
function stroke(document, roll) {
  const gesture = document.begin(roll(17));
  let last = { x: roll(WIDTH), y: roll(HEIGHT) };
  for (let i = 0; i < 3; i++) {
    const next = { x: roll(WIDTH * 2) - 50, y: roll(HEIGHT * 2) - 35 };
    capsule(last, next, 1 + roll(20), WIDTH, HEIGHT, gesture.span);
    gesture.flush();
    last = next;
  }
  return gesture;
}

test("any number of strokes can be undone and redone to the byte", () => {
  const document = newDocument();
  const roll = dice(5);
  const states = [document.map.data.slice()];
  const seeds = [document.seed];
  for (let i = 0; i < 40; i++) {
    if (i % 7 === 3) document.setSeed(100 + i);
    else if (!stroke(document, roll).commit()) continue;
    states.push(document.map.data.slice());
    seeds.push(document.seed);
  }
  for (let round = 0; round < 3; round++) {
    for (let i = states.length - 2; i >= 0; i--) {
      assert.ok(document.undo());
      assert.deepEqual(document.map.data, states[i], `undo to ${i}`);
      assert.equal(document.seed, seeds[i]);
    }
    assert.equal(document.undo(), false);
    for (let i = 1; i < states.length; i++) {
      assert.ok(document.redo());
      assert.deepEqual(document.map.data, states[i], `redo to ${i}`);
      assert.equal(document.seed, seeds[i]);
    }
    assert.equal(document.redo(), false);
  }
});

test("a style is a step of its own; another seed lets go of it", () => {
  const document = newDocument();
  /** @type {boolean[]} */
  const told = [];
  document.listen(({ light }) => told.push(light));
  assert.deepEqual(document.light, { seed: 1, style: null, code: null });
  document.setStyle("dusk");
  document.setStyle("dusk");
  document.setStyle("noon");
  document.setSeed(9);
  const lights = [
    { seed: 1, style: null, code: null },
    { seed: 1, style: "dusk", code: null },
    { seed: 1, style: "noon", code: null },
    { seed: 9, style: null, code: null },
  ];
  assert.deepEqual(told, [true, true, true], "the same style again is no change");
  for (const light of lights.toReversed().slice(1)) {
    assert.ok(document.undo());
    assert.deepEqual(document.light, light);
  }
  assert.equal(document.undo(), false);
  for (const light of lights.slice(1)) {
    assert.ok(document.redo());
    assert.deepEqual(document.light, light);
  }
  document.setStyle("noon");
  document.setSeed(9);
  assert.deepEqual(
    document.light,
    { seed: 9, style: null, code: null },
    "the seed's own light, though the seed is the same",
  );
});

test("every change is announced with a rectangle that covers it", () => {
  const document = newDocument();
  const roll = dice(6);
  const mirror = document.map.data.slice();
  document.listen(({ rect }) => {
    if (!rect) return;
    const labels = readRect(document.map, rect);
    for (let row = 0; row < rect.height; row++) {
      const line = labels.subarray(row * rect.width, (row + 1) * rect.width);
      mirror.set(line, (rect.y + row) * WIDTH + rect.x);
    }
  });
  for (let i = 0; i < 120; i++) {
    const what = roll(6);
    if (what === 0) document.undo();
    else if (what === 1) document.redo();
    else if (what === 2) stroke(document, roll).cancel();
    else stroke(document, roll).commit();
    assert.deepEqual(mirror, document.map.data, `after step ${i}`);
  }
});

test("a cancelled gesture leaves nothing: no pixel, no history", () => {
  const document = newDocument();
  const before = document.map.data.slice();
  const gesture = stroke(document, dice(7));
  assert.notDeepEqual(document.map.data, before);
  gesture.cancel();
  assert.deepEqual(document.map.data, before);
  assert.equal(document.history.canUndo, false);
  assert.equal(document.touched, false);
  gesture.cancel();
  assert.equal(gesture.commit(), false);
});

test("undo during a gesture cancels it and takes nothing else back", () => {
  const document = newDocument();
  stroke(document, dice(8)).commit();
  const before = document.map.data.slice();
  const gesture = stroke(document, dice(9));
  assert.ok(document.undo());
  assert.deepEqual(document.map.data, before);
  assert.equal(gesture.open, false);
  assert.ok(document.history.canUndo);
});

test("a gesture that changes nothing is no step", () => {
  const document = newDocument();
  const gesture = document.begin(1);
  gesture.span(3, 0, WIDTH);
  assert.equal(gesture.commit(), false);
  assert.equal(document.history.canUndo, false);
});

test("a new stroke forgets what was undone", () => {
  const document = newDocument();
  const roll = dice(10);
  stroke(document, roll).commit();
  document.undo();
  stroke(document, roll).commit();
  assert.equal(document.history.canRedo, false);
});

test("history keeps to its budget by forgetting the oldest, and its account is right", () => {
  const map = createMap(256, 256);
  const roll = dice(12);
  for (let i = 0; i < map.data.length; i++) map.data[i] = roll(17); // noise: nothing to pack
  const budget = 12 * (TILE * TILE + 200);
  const history = new History(budget);
  for (let i = 1; i <= 30; i++) {
    const transaction = new Transaction(map);
    const y = (i * 31) % 256;
    transaction.keep(y, 0, 64);
    map.data.fill(i, y * 256, y * 256 + 64);
    history.push({ tiles: transaction.changedTiles() });
    assert.ok(history.bytes <= budget);
    const weighed = [...history.done, ...history.undone].reduce((sum, step) => sum + stepBytes(step), 0);
    assert.equal(history.bytes, weighed);
  }
  assert.ok(history.done.length > 2 && history.done.length < 30);
});

test("only tiles that differ are kept", () => {
  const map = createMap(256, 256);
  const transaction = new Transaction(map);
  for (let y = 0; y < 256; y++) transaction.keep(y, 0, 256);
  map.data[70 * 256 + 200] = 5;
  const tiles = transaction.changedTiles();
  assert.deepEqual(
    tiles.map(({ rect }) => rect),
    [{ x: 192, y: 64, width: TILE, height: TILE }],
  );
});

test("nearest resize invents no label", () => {
  const map = createMap(7, 5);
  for (let i = 0; i < 35; i++) map.data[i] = i;
  const larger = resizeNearest(map, 14, 10);
  for (let y = 0; y < 10; y++) {
    for (let x = 0; x < 14; x++) {
      assert.equal(larger.data[y * 14 + x], map.data[Math.floor(y / 2) * 7 + Math.floor(x / 2)]);
    }
  }
  assert.deepEqual(resizeNearest(larger, 7, 5).data, map.data);
});

/** @typedef {[name: string, ...concepts: string[]]} Row */

/** @param {Row[]} rows @param {number | null} ignore */
function setOf(rows, ignore) {
  const color = /** @type {[number, number, number]} */ ([0, 0, 0]);
  const labels = rows.map(([name, ...concepts], id) => ({ id, name, concepts, color, group: "" }));
  return { hash: null, name: "s", ignore, labels };
}

/** @type {{target: {ignore: number, labels: Row[]}, sources: Record<string, [id: number, exact: number, ...Row][]>}} */
const agreed = JSON.parse(readFileSync(new URL("../data/conversion.json", import.meta.url), "utf8"));

for (const [name, rows] of Object.entries(agreed.sources)) {
  test(`${name} is converted as the server converts it`, () => {
    const source = setOf(
      rows.map(([, , ...row]) => /** @type {Row} */ (row)),
      null,
    );
    const target = setOf(agreed.target.labels, agreed.target.ignore);
    const found = [...matches(source, target).values()];
    assert.deepEqual(
      found,
      rows.map(([id, exact]) => ({ id, exact: exact === 1 })),
    );
    const table = conversion(source, target);
    for (const [i, { id }] of found.entries()) assert.equal(table[i], id);
  });
}

test("labels are found by name, by concept, by the nearest broader concept, or not at all", () => {
  const set = setOf([["void"], ["air", "sky"], ["pond", "water"], ["river", "canal"], ["wood"]], 0);
  const find = (/** @type {Row} */ [name, ...concepts]) => findMeaning(set, { name, concepts });
  assert.deepEqual(find(["air", "wind", "sky"]), { id: 1, exact: true }, "the same name");
  assert.deepEqual(find(["heaven", "sky"]), { id: 1, exact: true }, "the same concept");
  assert.deepEqual(find(["sea", "sea", "lake", "water", "sky"]), { id: 2, exact: false }, "the nearest");
  assert.equal(find(["road", "road", "river"]), undefined, "a name is no concept where there are concepts");
  assert.deepEqual(find(["forest", "tree", "wood"]), { id: 4, exact: false }, "and is where there are none");
  assert.deepEqual(find(["sky"]), { id: 1, exact: true });
  assert.equal(idOfMeaning(set, { name: "road" }), 0);
  assert.equal(idOfMeaning(setOf([["person"], ["tree"]], null), { name: "road" }), 0);
});

test("label sets: nearest colour, groups with the ignored label last, sameness", () => {
  assert.equal(nearestLabel(LANDSCAPE, [250, 250, 250]).name, "snow");
  assert.equal(nearestLabel(LANDSCAPE, [199, 52, 44]).name, "house");
  const groups = groupLabels({
    ...LANDSCAPE,
    labels: LANDSCAPE.labels.map((label) => (label.id === 0 ? { ...label, group: "other" } : label)),
  });
  assert.deepEqual(
    groups.map(({ group }) => group),
    ["sky", "ground", "other"],
  );
  assert.ok(sameSet(LANDSCAPE, { ...LANDSCAPE, hash: null }));
  assert.equal(sameSet(LANDSCAPE, { ...LANDSCAPE, labels: LANDSCAPE.labels.slice(1) }), false);
});
