import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { MARK_COLORS, mixCodes, sameCode, sameLight, sharesOf } from "../../static/js/document/light.js";
import { MOST, readKept } from "../../static/js/ui/strip.js";
import { LANDSCAPE } from "./helpers.js";

const DUSK = { title: "Dusk", style: "dusk", code: [1, 2] };
const NOON = { title: "Noon", style: "noon", code: [3, 4] };
const OWN = { title: "Mine", style: null, code: [5, 6] };

/** @param {import("../../static/js/document/document.js").Region[]} [regions] */
function newDocument(regions = []) {
  const map = createMap(40, 40, 1);
  return new LabelDocument({ id: "a", title: "A", map, labelSet: LANDSCAPE, seed: 1, regions });
}

/** @param {LabelDocument} document @param {number} number @param {number} y0 @param {number} y1 */
function paint(document, number, y0, y1) {
  const gesture = document.begin(number, "styles");
  for (let y = y0; y < y1; y++) gesture.span(y, 0, 40);
  gesture.commit();
}

test("a slider's way is one step, and undoing it leads to where it began", () => {
  const document = newDocument();
  document.setLight({ style: "noon", code: null });
  const steps = document.history.done.length;
  for (const code of [[0.1], [0.2], [0.3]]) document.tryLights({ light: { style: null, code } });
  assert.equal(document.history.done.length, steps, "nothing is kept while it moves");
  assert.deepEqual(document.light, { seed: 1, style: null, code: [0.3] });
  document.keepLights();
  assert.equal(document.history.done.length, steps + 1);
  document.undo();
  assert.deepEqual(document.light, { seed: 1, style: "noon", code: null });
  document.redo();
  assert.deepEqual(document.light, { seed: 1, style: null, code: [0.3] });
});

test("what was tried is dropped by undo, kept by whatever comes next, and nothing when it ends where it began", () => {
  const document = newDocument();
  document.tryLights({ light: { style: null, code: [1] } });
  assert.ok(document.undo());
  assert.deepEqual(document.light, { seed: 1, style: null, code: null });
  assert.equal(document.history.canUndo, false);
  document.tryLights({ light: { code: [1] } });
  document.tryLights({ light: { code: null } });
  assert.equal(document.keepLights(), false);
  assert.equal(document.history.canUndo, false);
  document.tryLights({ light: { code: [1] } });
  paint(document, 0, 0, 1);
  document.tryLights({ light: { code: [2] } });
  document.setLight({ seed: 9 });
  assert.deepEqual(
    [document.undo(), document.code, document.undo(), document.code, document.undo(), document.code],
    [true, [2], true, [1], true, null],
  );
});

test("who hears of an undo finds that it can be redone", () => {
  const document = newDocument();
  document.setLight({ seed: 2 });
  /** @type {boolean[][]} */
  const heard = [];
  document.listen(() => heard.push([document.history.canUndo, document.history.canRedo]));
  document.undo();
  document.redo();
  assert.deepEqual(heard, [
    [false, true],
    [true, false],
  ]);
});

test("a region's light may be tried too, together with a region that is new", () => {
  const document = newDocument([DUSK]);
  document.tryLights({ regions: [DUSK, { ...OWN, code: [1, 1] }] });
  document.tryLights({ regions: [DUSK, OWN] });
  assert.ok(document.keepLights());
  assert.deepEqual(document.regions, [DUSK, OWN]);
  document.undo();
  assert.deepEqual(document.regions, [DUSK]);
  assert.equal(document.history.canUndo, false);
});

test("removing a region gives its pixels back and renumbers the rest, in one step", () => {
  const document = newDocument([DUSK, NOON, OWN]);
  for (const number of [1, 2, 3]) paint(document, number, 10 * number, 10 * number + 5);
  const before = document.styles.data.slice();
  /** @type {string[]} */
  const planes = [];
  document.listen(({ rect, plane, light }) => planes.push(`${rect ? plane : "-"} ${light}`));
  const steps = document.history.done.length;
  document.removeRegion(2);
  assert.equal(document.history.done.length, steps + 1);
  assert.deepEqual(document.regions, [DUSK, OWN]);
  const rows = [10, 20, 30].map((y) => document.styles.data[40 * y]);
  assert.deepEqual(rows, [1, 0, 2]);
  assert.ok(planes.some((line) => line.startsWith("styles")) && planes.includes("- true"));
  assert.ok(!planes.some((line) => line.startsWith("labels")), "no label has changed");
  document.undo();
  assert.deepEqual(document.regions, [DUSK, NOON, OWN]);
  assert.deepEqual(document.styles.data, before);
});

test("what does not change the flattened labels announces none, and light only where there is another", () => {
  const document = newDocument();
  document.addLayer("b", "B");
  /** @type {string[]} */
  const heard = [];
  document.listen(({ rect, light, structure }) =>
    heard.push([rect && "labels", light && "light", structure && "structure"].filter(Boolean).join()),
  );
  document.changeLayer("b", { name: "Trees" });
  document.changeLayer("b", { locked: true });
  document.setRegions([DUSK]);
  document.undo();
  assert.deepEqual(heard, ["structure", "structure", "light,structure", "light,structure"]);
  heard.length = 0;
  document.changeLayer("b", { visible: false });
  document.undo();
  assert.deepEqual(heard, ["labels", "structure", "labels", "structure"]);
});

test("codes between two codes", () => {
  assert.deepEqual(mixCodes([0, 4], [1, 2], 0), [0, 4]);
  assert.deepEqual(mixCodes([0, 4], [1, 2], 0.5), [0.5, 3]);
  assert.deepEqual(mixCodes([0, 4], [1, 2], 1), [1, 2]);
});

test("lights are the same by name, else by code", () => {
  assert.ok(sameLight(DUSK, { ...DUSK, code: [9, 9] }));
  assert.ok(!sameLight(DUSK, { ...OWN, code: DUSK.code }));
  assert.ok(sameLight(OWN, { style: null, code: [5, 6] }));
  assert.ok(
    !sameLight({ style: null, code: null }, { style: null, code: null }),
    "two seeds' lights may differ",
  );
  assert.ok(!sameCode([1], [1, 2]));
});

test("shares of the picture", () => {
  assert.deepEqual(sharesOf(Uint8Array.of(0, 1, 1, 2), 2), [0.25, 0.5, 0.25]);
  assert.deepEqual(sharesOf(Uint8Array.of(0, 3), 1), [0.5, 0]);
});

test("fifteen marks differ from one another", () => {
  assert.equal(new Set(MARK_COLORS.map(String)).size, 15);
});

test("only lights are read from what a browser remembered, and no more than there is room for", () => {
  const light = {
    title: "A",
    seed: 3,
    style: null,
    code: [1, 2],
    own: true,
    model: "m",
    picture: "data:image/jpeg;base64,AAAA",
  };
  const bad = [
    null,
    7,
    { ...light, title: 3 },
    { ...light, seed: 1.5 },
    { ...light, code: ["x"] },
    { ...light, code: null },
    { ...light, picture: "https://elsewhere.example/x.png" },
    { ...light, picture: `data:image/jpeg;base64,${"A".repeat(70_000)}` },
  ];
  assert.deepEqual(readKept([...bad, light]), [light]);
  assert.deepEqual(readKept({ length: 3 }), []);
  assert.equal(readKept(Array.from({ length: 50 }, () => light)).length, MOST);
});
