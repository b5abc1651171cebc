import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument, MAX_REGIONS } from "../../static/js/document/document.js";
import { pack, unpack } from "../../static/js/document/history.js";
import { bounds, createMap, readRect } from "../../static/js/document/labelmap.js";
import { flatten, HOLE, MAX_LAYERS } from "../../static/js/document/layers.js";
import { capsule } from "../../static/js/document/raster.js";
import { Rects } from "../../static/js/document/rects.js";
import { dice, LANDSCAPE } from "./helpers.js";

const WIDTH = 90;
const HEIGHT = 60;

function newDocument() {
  return new LabelDocument({
    id: "a",
    title: "A",
    map: createMap(WIDTH, HEIGHT, 1),
    labelSet: LANDSCAPE,
    seed: 1,
  });
}

/** @param {LabelDocument} document */
function stateOf(document) {
  return {
    layers: document.layers.map(({ map, ...rest }) => ({ ...rest, labels: map.data.slice() })),
    styles: document.styles.data.slice(),
    regions: document.regions,
    light: document.light,
    flat: document.map.data.slice(),
  };
}

/** @param {LabelDocument} document @param {(below: number) => number} roll @param {number} value @param {"labels" | "styles"} plane */
function dab(document, roll, value, plane) {
  const gesture = document.begin(value, plane);
  const [a, b] = [0, 1].map(() => ({ x: roll(WIDTH), y: roll(HEIGHT) }));
  capsule(a, b, 1 + roll(12), WIDTH, HEIGHT, gesture.span);
  return gesture.commit();
}

/** @param {LabelDocument} document @param {(below: number) => number} roll @param {number} i */
function anything(document, roll, i) {
  const some = document.layers[roll(document.layers.length)];
  switch (roll(11)) {
    case 0:
      return document.addLayer(`l${i}`, `Layer ${i}`);
    case 1:
      return document.removeLayer(some.id);
    case 2:
      return document.moveLayer(some.id, roll(document.layers.length));
    case 3:
      return document.changeLayer(some.id, { visible: roll(2) === 0 });
    case 4:
      return document.mergeDown(some.id);
    case 5:
      return document.setRegions([{ title: "Dusk", style: "dusk", code: [i] }]);
    case 6:
      return document.setLight({ code: [i, i + 1] });
    case 7:
      return dab(document, roll, roll(3), "styles");
    case 8:
      document.setActive(some.id);
      return document.flattenLayers();
    default:
      document.setActive(some.id);
      if (document.refusal) return false;
      return dab(document, roll, roll(4) === 0 ? document.blank() : roll(17), "labels");
  }
}

test("whatever is done to layers, light and planes is undone and redone to the byte", () => {
  for (const seed of [1, 2, 3]) {
    const document = newDocument();
    const roll = dice(seed);
    const states = [stateOf(document)];
    for (let i = 0; i < 150; i++) {
      const steps = document.history.done.length;
      anything(document, roll, i);
      if (document.history.done.length > steps) states.push(stateOf(document));
      const flat = createMap(WIDTH, HEIGHT);
      flatten(document.layers, flat, bounds(flat));
      assert.deepEqual(document.map.data, flat.data, "the flattened map is up to date");
      assert.ok(!document.map.data.includes(HOLE), "and has no holes");
    }
    assert.ok(states.length > 60);
    for (const state of states.slice(0, -1).toReversed()) {
      assert.ok(document.undo());
      assert.deepEqual(stateOf(document), state);
    }
    for (const state of states.slice(1)) {
      assert.ok(document.redo());
      assert.deepEqual(stateOf(document), state);
    }
  }
});

test("every change is announced for its plane with a rectangle that covers it", () => {
  const document = newDocument();
  const roll = dice(4);
  const mirror = { labels: document.map.data.slice(), styles: document.styles.data.slice() };
  document.listen(({ rect, plane }) => {
    if (!rect || plane === "edits") return;
    const map = { labels: document.map, styles: document.styles }[plane];
    const values = readRect(map, rect);
    for (let row = 0; row < rect.height; row++) {
      const line = values.subarray(row * rect.width, (row + 1) * rect.width);
      mirror[plane].set(line, (rect.y + row) * WIDTH + rect.x);
    }
  });
  for (let i = 0; i < 200; i++) {
    if (i % 5 === 4) document.undo();
    else anything(document, roll, i);
    assert.deepEqual(mirror, { labels: document.map.data, styles: document.styles.data }, `after ${i}`);
  }
});

test("an eraser shows what lies below; at the bottom it leaves sky", () => {
  const document = newDocument();
  assert.equal(document.blank(), LANDSCAPE.labels.find(({ name }) => name === "sky")?.id);
  document.addLayer("top", "Top");
  assert.equal(document.blank(), HOLE);
  const paint = (/** @type {number} */ value) => {
    const gesture = document.begin(value);
    gesture.span(5, 0, WIDTH);
    gesture.commit();
  };
  paint(3);
  assert.equal(document.map.data[5 * WIDTH], 3);
  paint(document.blank());
  assert.equal(document.map.data[5 * WIDTH], 1);
});

test("a locked or hidden layer is not painted on, and says why", () => {
  const document = newDocument();
  document.addLayer("top", "Trees");
  document.changeLayer("top", { locked: true });
  assert.throws(() => document.begin(3), /locked.*Trees/);
  document.changeLayer("top", { locked: false, visible: false });
  assert.throws(() => document.begin(3), /hidden.*Trees/);
  document.setActive("base");
  assert.equal(document.begin(3).commit(), false);
});

test("gestures keep to the selection", () => {
  const document = newDocument();
  document.selection = createMap(WIDTH, HEIGHT);
  for (const x of [3, 4, 9]) document.selection.data[7 * WIDTH + x] = 1;
  const gesture = document.begin(5);
  for (let y = 0; y < HEIGHT; y++) gesture.span(y, 0, WIDTH);
  gesture.commit();
  const painted = [...document.map.data.keys()].filter((i) => document.map.data[i] === 5);
  assert.deepEqual(
    painted,
    [3, 4, 9].map((x) => 7 * WIDTH + x),
  );
});

test("there are bounds: layers, regions, and what history may weigh counts lost layers", () => {
  const document = newDocument();
  for (let i = 1; i < MAX_LAYERS; i++) document.addLayer(`l${i}`, "");
  assert.throws(() => document.addLayer("more", ""), /at most 32/);
  document.setRegions(Array.from({ length: 20 }, () => ({ title: "", style: null, code: [0] })));
  assert.equal(document.regions.length, MAX_REGIONS);
  const before = document.history.bytes;
  document.removeLayer("l3");
  assert.ok(document.history.bytes - before >= WIDTH * HEIGHT);
});

test("packing loses nothing and never grows", () => {
  const roll = dice(3);
  for (let i = 0; i < 300; i++) {
    const labels = new Uint8Array(1 + roll(1500));
    for (let at = 0; at < labels.length; at += 1)
      labels[at] = roll(40) === 0 ? roll(256) : (labels[at - 1] ?? 0);
    const packed = pack(labels);
    assert.ok(packed.length <= labels.length);
    assert.deepEqual(unpack(packed, labels.length), labels);
  }
  assert.equal(pack(new Uint8Array(1024)).length, 8);
});

test("far-apart changes stay small rectangles, and everything is covered", () => {
  const roll = dice(8);
  for (let round = 0; round < 100; round++) {
    const rects = new Rects();
    const added = Array.from({ length: 1 + roll(12) }, () => ({
      x: roll(500),
      y: roll(500),
      width: 1 + roll(30),
      height: 1 + roll(30),
    }));
    for (const rect of added) rects.add(rect);
    const list = rects.take();
    assert.ok(list.length <= 4);
    for (const a of added) {
      assert.ok(
        list.some(
          (b) =>
            b.x <= a.x && b.y <= a.y && b.x + b.width >= a.x + a.width && b.y + b.height >= a.y + a.height,
        ),
      );
    }
    assert.ok(rects.empty);
  }
  const rects = new Rects();
  rects.add({ x: 0, y: 0, width: 10, height: 10 });
  rects.add({ x: 900, y: 900, width: 10, height: 10 });
  assert.equal(rects.take().length, 2);
});
