import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { HOLE } from "../../static/js/document/layers.js";
import { resized, resizedCopy, windowOf } from "../../static/js/document/resize.js";
import { limitsOf, objection, remark, SHAPES, sizeOfShape, usualSizes } from "../../static/js/ui/sizes.js";
import { betterSplit } from "../../static/js/ui/views.js";

/** @typedef {import("../../static/js/ui/studio.js").Model} Model */

const MODEL = /** @type {Model} */ ({
  id: "tiny",
  name: "Tiny",
  native_width: 256,
  native_height: 256,
  largest_width: null,
  largest_height: null,
  max_side: 2048,
  max_pixels: 1 << 20,
});
const SET = {
  hash: "x",
  name: "two",
  ignore: null,
  labels: [
    { id: 0, name: "sky", color: /** @type {[number, number, number]} */ ([0, 0, 255]), group: "all" },
    { id: 1, name: "tree", color: /** @type {[number, number, number]} */ ([0, 99, 0]), group: "all" },
  ],
};

test("a picture is stretched, or its middle is taken", () => {
  const from = { width: 400, height: 200 };
  assert.deepEqual(windowOf(from, { width: 100, height: 100 }, "stretch"), { x: 0, y: 0, ...from });
  assert.deepEqual(windowOf(from, { width: 100, height: 100 }, "crop"), {
    x: 100,
    y: 0,
    width: 200,
    height: 200,
  });
  const map = { width: 4, height: 1, data: Uint8Array.of(1, 2, 3, 4) };
  assert.deepEqual(
    [...resized(map, { width: 8, height: 2 }, "stretch").data].slice(8),
    [1, 1, 2, 2, 3, 3, 4, 4],
  );
  assert.deepEqual([...resized(map, { width: 2, height: 1 }, "crop").data], [2, 3]);
});

test("a copy in another size has every layer and plane, and nothing that was not there", () => {
  const map = { width: 4, height: 4, data: new Uint8Array(16) };
  const painting = new LabelDocument({ id: "a", title: "A", map, labelSet: SET, seed: 3 });
  painting.addLayer("trees", "Trees");
  const gesture = painting.begin(1);
  gesture.span(0, 0, 4);
  gesture.commit();
  const copy = new LabelDocument({ id: "b", ...resizedCopy(painting, { width: 7, height: 5 }, "stretch") });
  assert.deepEqual([copy.map.width, copy.map.height, copy.seed, copy.title], [7, 5, 3, "A"]);
  assert.equal(copy.layers.length, painting.layers.length);
  assert.deepEqual(
    copy.layers.map(({ name }) => name),
    painting.layers.map(({ name }) => name),
  );
  assert.equal(copy.active, painting.active);
  assert.deepEqual([copy.styles.width, copy.styles.height], [7, 5]);
  for (const layer of copy.layers) assert.ok(layer.map.data.every((id) => [0, 1, HOLE].includes(id)));
  assert.deepEqual([...copy.map.data.subarray(0, 7)], Array(7).fill(1));
  assert.deepEqual([...copy.map.data.subarray(14)], Array(21).fill(0));
});

test("sizes: every shape by its longer side, and what is objected to", () => {
  assert.deepEqual(sizeOfShape(512, 16 / 9), { width: 512, height: 288 });
  assert.deepEqual(sizeOfShape(512, 3 / 4), { width: 384, height: 512 });
  for (const { aspect } of SHAPES) assert.equal(objection(sizeOfShape(512, aspect), MODEL), "");
  assert.equal(objection({ width: 301, height: 777 }, MODEL), "");
  for (const width of [255, 1025, 300.5, Number.NaN]) {
    assert.equal(objection({ width, height: 300 }, MODEL), "Each side has 256 to 1024 pixels.");
  }
  assert.match(objection({ width: 1000, height: 1000 }, { ...MODEL, max_pixels: 500_000 }), /in all/);
  assert.deepEqual(
    limitsOf({ ...MODEL, native_height: 128 }).least,
    128,
    "a model's own size is never refused",
  );
  assert.equal(remark({ width: 512, height: 512 }, MODEL), "");
  assert.match(
    remark({ width: 512, height: 300 }, { ...MODEL, largest_width: 256, largest_height: 256 }),
    /^Tiny paints up to 256 × 256;/,
  );
});

test("a painting may be begun in the model's own size and in one of every other shape", () => {
  const written = (/** @type {Model} */ model) =>
    usualSizes(model).map(({ name, width, height }) => `${name} ${width}x${height}`);
  assert.deepEqual(written(MODEL), [
    ...["1 : 1 256x256", "4 : 3 384x288", "3 : 2 384x256", "16 : 9 512x288"],
    ...["3 : 4 288x384", "2 : 3 256x384", "9 : 16 288x512"],
  ]);
  const wide = { ...MODEL, native_width: 256, native_height: 128 };
  assert.equal(written(wide)[0], " 256x128", "its own comes first, though it is no usual shape");
  for (const model of [
    MODEL,
    wide,
    { ...MODEL, native_width: 512, native_height: 384, max_pixels: 300_000 },
  ]) {
    for (const size of usualSizes(model)) assert.equal(objection(size, model), "", JSON.stringify(size));
  }
});

test("two pictures stand as they are larger", () => {
  assert.equal(betterSplit(1100, 700, 1), "row");
  assert.equal(betterSplit(1100, 700, 16 / 9), "column");
  assert.equal(betterSplit(380, 560, 1), "column");
  assert.equal(betterSplit(600, 900, 9 / 16), "row");
});
