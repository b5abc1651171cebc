import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { fadeInwards, markEdited } from "../../static/js/document/edited.js";
import { bounds, createMap } from "../../static/js/document/labelmap.js";
import { HOLE } from "../../static/js/document/layers.js";
import { LANDSCAPE } from "./helpers.js";

const SIDE = 40;

function photoDocument() {
  const seen = createMap(SIDE, SIDE, 1);
  seen.data.fill(3, SIDE * 20);
  return new LabelDocument({
    id: "p",
    title: "Photo",
    map: { ...seen, data: seen.data.slice() },
    labelSet: LANDSCAPE,
    seed: 1,
    source: { blob: new Blob([]), width: 400, height: 400, map: seen },
  });
}

/** @param {LabelDocument} document */
function editedOf(document) {
  const marked = new Uint8Array(SIDE * SIDE);
  markEdited(document, bounds(document.map), marked);
  return marked.reduce((sum, one) => sum + one, 0);
}

/** @param {import("../../static/js/document/document.js").Gesture} gesture @param {number} y */
function paintRow(gesture, y) {
  gesture.span(y, 0, SIDE);
  assert.ok(gesture.commit());
}

test("painted over is what has another label than the photo, and what is to be painted anew", () => {
  const document = photoDocument();
  assert.equal(editedOf(document), 0);
  paintRow(document.begin(5), 10);
  assert.equal(editedOf(document), SIDE);
  paintRow(document.begin(1, "edits"), 30);
  assert.equal(editedOf(document), 2 * SIDE);
});

test("restoring brings back what was seen, in all layers, as one step", () => {
  const document = photoDocument();
  document.addLayer("top", "Top");
  paintRow(document.begin(5), 10);
  document.setActive("base");
  paintRow(document.begin(6), 10);
  paintRow(document.begin(1, "edits"), 10);
  paintRow(document.begin(7), 11);
  const before = [document.map.data, document.edits?.data].map((data) => data?.slice());
  /** @type {Set<string>} */
  const planes = new Set();
  document.listen(({ rect, plane }) => void (rect && planes.add(plane)));
  paintRow(document.beginRestore(), 10);
  assert.equal(editedOf(document), SIDE, "row 11 stays painted");
  assert.equal(document.layers[1].map.data[10 * SIDE], HOLE);
  assert.deepEqual([...planes].sort(), ["edits", "labels"]);
  assert.ok(document.undo());
  assert.deepEqual([document.map.data, document.edits?.data], before);
});

test("restoring leaves alone what is locked and what nobody sees", () => {
  const document = photoDocument();
  for (const [id, change] of /** @type {const} */ ([
    ["locked", { locked: true }],
    ["hidden", { visible: false }],
  ])) {
    document.addLayer(id, id);
    paintRow(document.begin(5), 10);
    document.changeLayer(id, change);
  }
  paintRow(document.begin(1, "edits"), 10);
  paintRow(document.beginRestore(), 10);
  assert.deepEqual(
    document.layers.map(({ map }) => map.data[10 * SIDE]),
    [1, 5, 5],
  );
});

test("a cancelled restoring leaves everything as it was", () => {
  const document = photoDocument();
  paintRow(document.begin(5), 10);
  const gesture = document.beginRestore();
  gesture.span(10, 0, SIDE);
  gesture.flush();
  assert.equal(editedOf(document), 0);
  gesture.cancel();
  assert.equal(editedOf(document), SIDE);
});

test("without a photo there is nothing to restore", () => {
  const document = new LabelDocument({
    id: "a",
    title: "",
    map: createMap(4, 4),
    labelSet: LANDSCAPE,
    seed: 1,
  });
  assert.throws(() => document.beginRestore(), /no photo/);
  assert.throws(() => document.begin(1, "edits"), /no photo/);
});

test("the cover fades inwards only: nothing outside, nothing at the picture's edge", () => {
  const radius = 4;
  const marked = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < 30; y++) marked.fill(1, y * SIDE + 10, y * SIDE + SIDE);
  const alpha = fadeInwards(marked, SIDE, SIDE, radius);
  for (const [i, one] of marked.entries()) if (!one) assert.equal(alpha[i], 0);
  const row = [...alpha.subarray(0, SIDE)];
  assert.equal(row[10 + radius], 255);
  assert.equal(row[SIDE - 1], 255, "no border where the picture ends");
  assert.ok(row[10] < 64 && row[11] > row[10] && row[12] > row[11]);
  const brute = (/** @type {number} */ x, /** @type {number} */ y) => {
    let [sum, count] = [0, 0];
    for (let v = Math.max(0, y - radius); v <= Math.min(SIDE - 1, y + radius); v++) {
      for (let u = Math.max(0, x - radius); u <= Math.min(SIDE - 1, x + radius); u++) {
        sum += marked[v * SIDE + u];
        count++;
      }
    }
    return Math.max(0, Math.min(255, 255 * (2 * (sum / count) - 1)));
  };
  for (const [x, y] of [
    [11, 28],
    [12, 3],
    [30, 29],
    [13, 26],
  ]) {
    assert.ok(Math.abs(alpha[y * SIDE + x] - brute(x, y)) <= 1, `${x}, ${y}`);
  }
});

test("a thin stroke is seen, alone and beside a broad one; a broad one fades as before", () => {
  const [side, radius] = [120, 8];
  const draw = (/** @type {[number, number][]} */ ...rows) => {
    const marked = new Uint8Array(side * side);
    for (const [from, to] of rows) marked.fill(1, from * side, to * side);
    const alpha = fadeInwards(marked, side, side, radius);
    return (/** @type {number} */ y) => alpha[y * side + side / 2];
  };
  const alone = draw([20, 26]);
  assert.ok(alone(22) > 150 && alone(23) > 150, `${alone(22)}`);
  const beside = draw([20, 26], [60, 110]);
  assert.equal(beside(22), alone(22));
  const steps = [60, 62, 64, 66, 68, 85].map(beside);
  assert.deepEqual(
    steps,
    steps.toSorted((a, b) => a - b),
  );
  assert.ok(steps[0] < 40 && steps[2] > 90 && steps[2] < 190 && steps[5] === 255, `${steps}`);
});
