import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { DocumentError } from "../../static/js/document/errors.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { HOLE } from "../../static/js/document/layers.js";
import { isOpenRaster, packOpenRaster, readOpenRaster } from "../../static/js/document/openraster.js";
import { packProject, readProject } from "../../static/js/document/project.js";
import { isZip, unzip, zip } from "../../static/js/document/zip.js";
import { dice, LANDSCAPE } from "./helpers.js";

const LIMITS = { maxFiles: 64, maxBytes: 1 << 24 };
const WHEN = Date.UTC(2026, 10, 20);
let ids = 0;
const newId = () => `id${ids++}`;

/** @param {number} width @param {number} height @param {number} kinds @param {number} seed */
function noise(width, height, kinds, seed) {
  const roll = dice(seed);
  const map = createMap(width, height);
  for (let i = 0; i < map.data.length; i++) map.data[i] = roll(kinds);
  return map;
}

/** Three layers, the middle one hidden and the upper ones with holes; two lights; a photo below. */
function painting() {
  const [width, height] = [37, 23];
  const holed = noise(width, height, 40, 2);
  for (let i = 0; i < holed.data.length; i++) if (holed.data[i] > 16) holed.data[i] = HOLE;
  const layer = (/** @type {string} */ name, /** @type {any} */ map, more = {}) => ({
    id: name,
    name,
    visible: true,
    locked: false,
    map,
    ...more,
  });
  const layers = [
    layer("base", noise(width, height, 17, 1)),
    layer("Häuser & <Bäume>", holed, { visible: false, locked: true }),
    layer("top", { ...holed, data: holed.data.slice().reverse() }),
  ];
  const blob = new Blob([Uint8Array.from([1, 2, 3])], { type: "image/jpeg" });
  return new LabelDocument({
    id: "mine",
    title: "A lake",
    map: layers[0].map,
    layers,
    labelSet: LANDSCAPE,
    seed: 1234,
    style: "dusk",
    code: [0.5, -1.25],
    regions: [
      { title: "Sunset", style: "sunset", code: [1, 2] },
      { title: "", style: null, code: [3, 4] },
    ],
    styles: noise(width, height, 3, 4),
    source: { blob, width, height, map: noise(width, height, 17, 5) },
    edits: noise(width, height, 2, 6),
  });
}

/** Layers without their ids, which differ. @param {any} layers @returns {any} */
const stripped = (layers) => layers.map((/** @type {any} */ { id, ...layer }) => layer);

const beside = () => ({
  model: { id: "tiny", name: "Tiny" },
  photo: Uint8Array.from([9, 8, 7]),
  photoOf: { model: "tiny", seed: 1234 },
  thumbnail: null,
  created: WHEN - 5000,
  updated: WHEN,
  app: "test",
});

/** @param {(json: any, files: Map<string, Uint8Array>) => void} change */
async function spoiled(change) {
  const files = unzip(await packProject(painting(), beside()), LIMITS);
  const json = JSON.parse(new TextDecoder().decode(files.get("project.json")));
  change(json, files);
  if (files.has("project.json")) files.set("project.json", new TextEncoder().encode(JSON.stringify(json)));
  return zip(
    [...files].map(([name, bytes]) => ({ name, bytes })),
    WHEN,
  );
}

test("a project comes back as it went", async () => {
  const before = painting();
  const bytes = await packProject(before, beside());
  assert.ok(isZip(bytes));
  assert.ok(!isOpenRaster(bytes));
  const { painting: after, ...rest } = await readProject(bytes, newId);
  assert.deepEqual(rest, beside());
  for (const key of /** @type {const} */ (["title", "labelSet", "seed", "style", "code", "regions"])) {
    assert.deepEqual(after[key], before[key], key);
  }
  assert.deepEqual(stripped(after.layers), stripped(before.layers));
  assert.deepEqual(new LabelDocument(after).map, before.map);
  assert.deepEqual(after.styles, before.styles);
  assert.deepEqual(after.edits, before.edits);
  assert.deepEqual(after.source?.map, before.source?.map);
  assert.deepEqual([...new Uint8Array((await after.source?.blob.arrayBuffer()) ?? [])], [1, 2, 3]);
  assert.notEqual(after.id, before.id);
});

test("equal paintings give equal files", async () => {
  assert.deepEqual(await packProject(painting(), beside()), await packProject(painting(), beside()));
});

test("a painting without extras has no files for them", async () => {
  const plain = new LabelDocument({
    id: "a",
    title: "",
    map: createMap(8, 8, 1),
    labelSet: LANDSCAPE,
    seed: 7,
  });
  const bytes = await packProject(plain, { ...beside(), photo: null, model: null });
  assert.deepEqual([...unzip(bytes, LIMITS).keys()], ["project.json", "layers/0.png"]);
  const { painting: after, photo, photoOf, model } = await readProject(bytes, newId);
  assert.deepEqual(
    [after.styles, after.source, after.edits, photo, photoOf, model],
    [null, null, null, null, null, null],
  );
  assert.deepEqual(after.map, plain.map);
});

test("files that nobody named are ignored", async () => {
  const bytes = await spoiled((_, files) => files.set("../evil.png", new Uint8Array(9)));
  assert.equal((await readProject(bytes, newId)).painting.title, "A lake");
});

test("what is not as it should be is refused whole, with a reason", async () => {
  /** @type {[string, RegExp, (json: any, files: Map<string, Uint8Array>) => void][]} */
  const cases = [
    ["no json", /not a Scenebrush project/, (_, files) => files.delete("project.json")],
    ["another format", /not a Scenebrush project/, (json) => (json.format = "zip")],
    ["another version", /version 2/, (json) => (json.version = 2)],
    ["a layer is missing", /lacks its part “layers\/1.png”/, (_, files) => files.delete("layers/1.png")],
    ["no layers", /no layer/, (json) => (json.layers = [])],
    ["too many layers", /more than 32/, (json) => (json.layers = Array(33).fill(json.layers[0]))],
    ["another size", /not a palette PNG of 38 × 23/, (json) => (json.width = 38)],
    ["a huge size", /between 1 and 4096/, (json) => (json.width = 1e9)],
    ["an unknown label", /uses the number 16/, (json) => json.label_set.labels.pop()],
    ["a hole at the bottom", /number 255/, (json) => (json.layers[0].file = "layers/1.png")],
    ["style numbers without lights", /styles has numbers above 1/, (json) => json.regions.pop()],
    ["a light without code", /no style code/, (json) => (json.regions[0].code = null)],
    ["a code of words", /no list of numbers/, (json) => (json.light.code = ["a"])],
    ["no light", /number in it/, (json) => delete json.light],
    ["two labels of one id", /not complete/, (json) => (json.label_set.labels[1].id = 0)],
    ["a photo of no kind", /unknown kind/, (json) => (json.source = "source.svg")],
    ["a damaged layer", /PNG is damaged/, (_, files) => files.get("layers/0.png")?.fill(0, 60, 70)],
  ];
  for (const [name, says, change] of cases) {
    const bytes = await spoiled(change);
    await assert.rejects(readProject(bytes, newId), (error) => {
      assert.ok(error instanceof DocumentError, `${name}: ${error}`);
      assert.match(error.message, says, name);
      assert.ok(error.what && error.why && error.next, name);
      return true;
    });
  }
});

test("zip files are read within bounds", () => {
  const big = zip([{ name: "zeros", bytes: new Uint8Array(1 << 22) }], WHEN);
  assert.ok(big.length < 8192, "the bomb must be small");
  assert.throws(() => unzip(big, { maxFiles: 4, maxBytes: 1 << 20 }), /too large/);
  // It says that it is small.
  const lying = big.slice();
  new DataView(lying.buffer).setUint32(22, 10, true);
  assert.throws(() => unzip(lying, { maxFiles: 4, maxBytes: 1 << 20 }), /too large/);
  const many = zip(
    Array.from({ length: 9 }, (_, i) => ({ name: `${i}`, bytes: new Uint8Array(1) })),
    WHEN,
  );
  assert.throws(() => unzip(many, { maxFiles: 8, maxBytes: 1 << 20 }), /too large/);
  assert.throws(() => unzip(big.subarray(0, big.length >> 2), LIMITS), DocumentError);
  const bent = many.slice();
  bent.fill(255, 8, 10); // an unknown kind of compression
  assert.throws(() => unzip(bent, LIMITS), /damaged/);
});

test("OpenRaster: layers come back, and the file is as the specification wants it", async () => {
  const before = painting();
  const bytes = await packOpenRaster(before, WHEN);
  assert.ok(isOpenRaster(bytes));
  const header = new DataView(bytes.buffer);
  assert.equal(header.getUint16(8, true), 0, "the type is stored");
  const files = unzip(bytes, LIMITS);
  assert.deepEqual(
    [...files.keys()],
    [
      "mimetype",
      "stack.xml",
      "data/layer0.png",
      "data/layer1.png",
      "data/layer2.png",
      "mergedimage.png",
      "Thumbnails/thumbnail.png",
    ],
  );
  const layers = await readOpenRaster(bytes, LANDSCAPE, newId);
  assert.deepEqual(stripped(layers), stripped(before.layers));
});

test("OpenRaster: a hostile list of layers is refused at once", async () => {
  const files = unzip(await packOpenRaster(painting(), WHEN), LIMITS);
  for (const xml of ["<layer ".repeat(300_000), `<image w='4' h='4'><layer ${"a".repeat(300_000)}>`]) {
    files.set("stack.xml", new TextEncoder().encode(`<image w='4' h='4'>${xml}`));
    const bytes = zip(
      [...files].map(([name, content]) => ({ name, bytes: content })),
      WHEN,
    );
    const start = performance.now();
    await assert.rejects(readOpenRaster(bytes, LANDSCAPE, newId), /0 layers/);
    assert.ok(performance.now() - start < 3000);
  }
});

test("OpenRaster of an editor: groups, offsets, single quotes, a hole at the bottom", async () => {
  const files = unzip(await packOpenRaster(painting(), WHEN), LIMITS);
  const xml = `<?xml version='1.0'?><image w='40' h='30'><stack><stack name='group'>
    <layer name='a &amp; b' src='data/layer2.png' x='-2' y='5' visibility='hidden'/></stack>
    <layer name="low" src="data/layer0.png" x="1" y="1"/></stack></image>`;
  files.set("stack.xml", new TextEncoder().encode(xml));
  const bytes = zip(
    [...files].map(([name, part]) => ({ name, bytes: part })),
    WHEN,
  );
  const [low, high] = await readOpenRaster(bytes, LANDSCAPE, newId);
  assert.deepEqual([low.name, high.name, high.visible], ["low", "a & b", false]);
  const { layers } = painting();
  assert.equal(low.map.data[0], 1, "sky where nothing was");
  assert.equal(low.map.data[1 * 40 + 1], layers[0].map.data[0]);
  assert.equal(high.map.data[5 * 40 + 3], layers[2].map.data[5]);
  files.set("stack.xml", new TextEncoder().encode("<image"));
  const broken = zip(
    [...files].map(([name, part]) => ({ name, bytes: part })),
    WHEN,
  );
  await assert.rejects(readOpenRaster(broken, LANDSCAPE, newId), /no readable stack.xml/);
  await assert.rejects(
    readOpenRaster(bytes, { ...LANDSCAPE, labels: LANDSCAPE.labels.slice(0, 9) }, newId),
    /stands for no label/,
  );
});
