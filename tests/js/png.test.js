import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync, inflateSync } from "node:zlib";
import { DocumentError } from "../../static/js/document/errors.js";
import {
  convertMap,
  exportMap,
  fitMap,
  importMap,
  paletteOf,
  readImage,
  recognise,
} from "../../static/js/document/exchange.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { crc32, decodePng, encodePng, encodeRgba, readText } from "../../static/js/document/png.js";
import { dice, fixture, LANDSCAPE } from "./helpers.js";

const WIDTH = 33;
const HEIGHT = 21;
const LIMITS = { maxPixels: 1 << 20 };

/** @param {number} [modulo] @returns {Uint8Array} the ids that the fixtures were made from */
function fixtureIds(modulo = 17) {
  return Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => {
    const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
    return ((Math.floor(x / 5) + Math.floor(y / 4)) % 17) % modulo;
  });
}

/** @param {number[]} header bytes of IHDR @param {Uint8Array} rows filtered @param {number} [cut] */
function pngOf(header, rows, cut = 0) {
  const chunk = (/** @type {string} */ type, /** @type {Uint8Array} */ body) => {
    const out = Buffer.alloc(body.length + 12);
    out.writeUInt32BE(body.length);
    out.write(type, 4);
    out.set(body, 8);
    out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
    return out;
  };
  const data = deflateSync(rows);
  const half = data.length >> 1;
  const file = Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", Uint8Array.from(header)),
    chunk("tEXt", Buffer.from("Comment\0ignored")),
    chunk("IDAT", data.subarray(0, half)),
    chunk("IDAT", data.subarray(half)),
    chunk("IEND", new Uint8Array(0)),
  ]);
  return new Uint8Array(file.subarray(0, file.length - cut));
}

/** @param {string} name @param {RegExp} says */
async function refused(name, says) {
  const bytes = typeof name === "string" ? fixture(name) : name;
  await assert.rejects(importMap(bytes, LANDSCAPE), (error) => {
    assert.ok(error instanceof DocumentError, String(error));
    assert.match(error.message, says);
    assert.ok(error.what && error.why && error.next);
    return true;
  });
}

test("CRC-32 of the check string", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

test("an exported map comes back as it went, and is what it should be inside", async () => {
  const roll = dice(11);
  for (const [width, height] of [
    [1, 1],
    [7, 3],
    [256, 256],
  ]) {
    const map = createMap(width, height);
    for (let i = 0; i < map.data.length; i++) map.data[i] = roll(17);
    const bytes = await exportMap(map, LANDSCAPE);
    const back = await importMap(bytes, LANDSCAPE);
    assert.deepEqual(back, map);
    // Read it once more by hand: header, palette, and the ids behind a filter byte of 0 in every row.
    const file = Buffer.from(bytes);
    assert.equal(file.readUInt32BE(16), width);
    assert.deepEqual([...file.subarray(24, 29)], [8, 3, 0, 0, 0]);
    const palette = file.indexOf("PLTE");
    assert.deepEqual(new Uint8Array(file.subarray(palette + 4, palette + 4 + 768)), paletteOf(LANDSCAPE));
    const data = file.indexOf("IDAT");
    const rows = inflateSync(file.subarray(data + 4, data + 4 + file.readUInt32BE(data - 4)));
    for (let y = 0; y < height; y++) {
      assert.equal(rows[y * (width + 1)], 0);
      const row = rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1));
      assert.deepEqual(new Uint8Array(row), map.data.slice(y * width, (y + 1) * width));
    }
  }
});

test("maps written by Pillow are read: palette of 8, 4 and 1 bit, grey, RGB, RGBA", async () => {
  for (const [name, modulo] of /** @type {[string, number][]} */ ([
    ["palette8.png", 17],
    ["palette4.png", 16],
    ["palette1.png", 2],
    ["grey.png", 17],
    ["rgb.png", 17],
    ["rgba.png", 17],
  ])) {
    const map = await importMap(fixture(name), LANDSCAPE);
    assert.deepEqual([map.width, map.height], [WIDTH, HEIGHT], name);
    assert.deepEqual(map.data, fixtureIds(modulo), name);
  }
});

test("maps written by ImageMagick are read: palettes that it made anew, and RGB", async () => {
  const ids = fixtureIds();
  const mirrored = ids.map((_, i) => ids[i - (i % WIDTH) + WIDTH - 1 - (i % WIDTH)]);
  for (const name of ["imagemagick-palette.png", "imagemagick-rgb.png"]) {
    const map = await importMap(fixture(name), LANDSCAPE);
    assert.deepEqual(map.data, mirrored, name);
  }
  const image = await readImage(fixture("imagemagick-palette.png"));
  assert.notDeepEqual(image.data, mirrored, "the values themselves must not be the ids");
});

test("colours decide only where the palette is another and every colour is the set's", async () => {
  const map = createMap(3, 1);
  map.data.set([1, 3, 5]);
  // Somebody else's colours for our ids: ids.
  const foreign = new Uint8Array(768).fill(77);
  assert.deepEqual((await importMap(await encodePng(map, foreign), LANDSCAPE)).data, map.data);
  // One colour of the set among them: still ids.
  foreign.set(LANDSCAPE.labels[9].color, 3);
  assert.deepEqual((await importMap(await encodePng(map, foreign), LANDSCAPE)).data, map.data);
  // A palette in another order: colours.
  const turned = new Uint8Array(768);
  for (const { id, color } of LANDSCAPE.labels) turned.set(color, (16 - id) * 3);
  assert.deepEqual([...(await importMap(await encodePng(map, turned), LANDSCAPE)).data], [15, 13, 11]);
  // A value without a colour is neither.
  const short = turned.slice(0, 9);
  assert.deepEqual((await importMap(await encodePng(map, short), LANDSCAPE)).data, map.data);
});

test("labels of one colour are still told apart when a palette is made anew", async () => {
  const twins = {
    ...LANDSCAPE,
    labels: LANDSCAPE.labels.map((label) =>
      label.id === 4 ? { ...label, color: LANDSCAPE.labels[3].color } : label,
    ),
  };
  const palette = paletteOf(twins);
  assert.notDeepEqual(palette.slice(9, 12), palette.slice(12, 15));
  const map = createMap(2, 1);
  map.data.set([0, 1]);
  const anew = Uint8Array.from([...palette.slice(12, 15), ...palette.slice(9, 12)]);
  assert.deepEqual([...(await importMap(await encodePng(map, anew), twins)).data], [4, 3]);
  const plain = { width: 1, height: 1, data: Uint8Array.from([...LANDSCAPE.labels[3].color, 255]) };
  assert.deepEqual([...(await importMap(await encodeRgba(plain), twins)).data], [3], "the lower id");
});

test("greys that are no ids are colours", async () => {
  const grey = { ...LANDSCAPE, labels: LANDSCAPE.labels.slice(0, 6) };
  const rows = Uint8Array.from([0, 255, 0, 255]);
  const map = await importMap(pngOf([0, 0, 0, 3, 0, 0, 0, 1, 8, 0, 0, 0, 0], rows), grey);
  assert.deepEqual([...map.data], [5, 0, 5]);
});

test("an image's label set is recognised by its colours, else by its numbers", async () => {
  const other = {
    hash: "f",
    name: "other",
    ignore: null,
    labels: [
      { id: 0, name: "wall", color: /** @type {[number, number, number]} */ ([1, 2, 3]), group: "" },
      { id: 1, name: "tree", color: /** @type {[number, number, number]} */ ([9, 9, 99]), group: "" },
    ],
  };
  const map = createMap(2, 1);
  map.data.set([0, 1]);
  const found = recognise(await readImage(await exportMap(map, other)), [LANDSCAPE, other, { ...other }]);
  assert.deepEqual(found, [
    { set: other, sure: true },
    { set: LANDSCAPE, sure: false },
  ]);
  assert.deepEqual(recognise(await readImage(fixture("rgb-unknown.png")), [LANDSCAPE, other]), []);
});

test("a map in another set is converted by meaning, with a report of what became what", () => {
  const map = createMap(4, 1);
  map.data.set([2, 1, 1, 0]);
  const color = /** @type {[number, number, number]} */ ([0, 0, 0]);
  const from = {
    hash: null,
    name: "from",
    ignore: null,
    labels: [
      { id: 0, name: "tree", color, group: "" },
      { id: 1, name: "palm", concepts: ["palm", "tree"], color, group: "" },
      { id: 2, name: "spaceship", color, group: "" },
      { id: 3, name: "sky", color, group: "" },
    ],
  };
  const { map: converted, report } = convertMap(map, from, LANDSCAPE);
  assert.deepEqual([...converted.data], [0, 11, 11, 11]);
  assert.deepEqual(report, [
    { id: 2, name: "spaceship", pixels: 1, to: "unlabeled", kind: "lost" },
    { id: 1, name: "palm", pixels: 2, to: "tree", kind: "near" },
    { id: 0, name: "tree", pixels: 1, to: "tree", kind: "same" },
  ]);
});

test("a PNG's text is read by its keyword, packed or plain, and not when it is too long", async () => {
  const header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0];
  const withText = (/** @type {Uint8Array} */ body) => {
    const file = Buffer.from(pngOf(header, new Uint8Array(2)));
    const chunk = Buffer.alloc(body.length + 12);
    chunk.writeUInt32BE(body.length);
    chunk.write("iTXt", 4);
    chunk.set(body, 8);
    chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + body.length)), 8 + body.length);
    return new Uint8Array(Buffer.concat([file.subarray(0, 33), chunk, file.subarray(33)]));
  };
  const said = JSON.stringify({ title: "Möwe" });
  const plain = withText(Buffer.concat([Buffer.from("scenebrush\0\0\0\0\0"), Buffer.from(said)]));
  const packed = withText(Buffer.concat([Buffer.from("scenebrush\0\x01\0de\0Bild\0"), deflateSync(said)]));
  for (const bytes of [plain, packed]) {
    assert.equal(await readText(bytes, "scenebrush", 1000), said);
    assert.equal(await readText(bytes, "Comment", 1000), null);
    await assert.rejects(readText(bytes, "scenebrush", 8), DocumentError);
  }
});

test("all five row filters are undone", async () => {
  const roll = dice(12);
  const [width, height] = [9, 10];
  const pixels = Uint8Array.from({ length: width * height * 3 }, () => roll(256));
  const rows = new Uint8Array(height * (width * 3 + 1));
  const at = (/** @type {number} */ x, /** @type {number} */ y) =>
    x < 0 || y < 0 ? 0 : pixels[y * width * 3 + x];
  for (let y = 0; y < height; y++) {
    const filter = y % 5;
    rows[y * (width * 3 + 1)] = filter;
    for (let i = 0; i < width * 3; i++) {
      const [a, b, c] = [at(i - 3, y), at(i, y - 1), i < 3 ? 0 : at(i - 3, y - 1)];
      const p = a + b - c;
      const near = [a, b, c].reduce((best, value) =>
        Math.abs(p - value) < Math.abs(p - best) ? value : best,
      );
      const guess = [0, a, b, (a + b) >> 1, near][filter];
      rows[y * (width * 3 + 1) + 1 + i] = at(i, y) - guess;
    }
  }
  const image = await decodePng(pngOf([0, 0, 0, width, 0, 0, 0, height, 8, 2, 0, 0, 0], rows), LIMITS);
  assert.deepEqual(image.data, pixels);
});

test("an unknown colour is named, counted and given its nearest label", () =>
  refused("rgb-unknown.png", /#c8342c.*8 pixels.*house \(#c83228\)/s));

test("an unknown id is named and counted", async () => {
  const set = { ...LANDSCAPE, labels: LANDSCAPE.labels.slice(0, 11) };
  const count = fixtureIds().filter((id) => id === 11).length;
  await assert.rejects(
    importMap(fixture("palette8.png"), set),
    new RegExp(`id 11.*${count} pixels.*0–10`, "s"),
  );
});

test("what is no label map is refused with a reason", async () => {
  await refused("photo.jpg", /not a PNG.*JPEG/s);
  await refused("grey16.png", /16 bits/);
  await refused("rgba-transparent.png", /3 pixels/);
});

test("damaged, cut and lying files are refused", async () => {
  const good = fixture("palette8.png");
  const rows = new Uint8Array(HEIGHT * (WIDTH + 1));
  const header = [0, 0, 0, WIDTH, 0, 0, 0, HEIGHT, 8, 3, 0, 0, 0];
  assert.equal((await decodePng(pngOf(header, rows), LIMITS)).kind, "ids");
  const flipped = good.slice();
  flipped[60] ^= 1;
  const files = {
    empty: new Uint8Array(0),
    flipped,
    cut: good.slice(0, good.length - 20),
    "no end": pngOf(header, rows, 12),
    "too little data": pngOf(header, rows.subarray(1)),
    "far too much data": pngOf(header, new Uint8Array(4 << 20)),
    "unknown filter": pngOf(header, rows.slice().fill(9)),
    interlaced: pngOf([...header.slice(0, 12), 1], rows),
    "no size": pngOf([0, 0, 0, 0, ...header.slice(4)], rows),
  };
  for (const [name, bytes] of Object.entries(files)) {
    await assert.rejects(decodePng(bytes, LIMITS), DocumentError, name);
  }
});

test("the size is checked before anything is inflated", async () => {
  const header = [0x7f, 255, 255, 255, 0x7f, 255, 255, 255, 8, 3, 0, 0, 0];
  await assert.rejects(decodePng(pngOf(header, new Uint8Array(9)), LIMITS), /too large: 2147483647/);
});

test("a map over the model's limits is made smaller in its own shape", () => {
  const map = createMap(300, 200, 4);
  assert.equal(fitMap(map, { maxSide: 300, maxPixels: 60_000 }), map);
  const narrow = fitMap(map, { maxSide: 150, maxPixels: 60_000 });
  assert.deepEqual([narrow.width, narrow.height], [150, 100]);
  const cut = fitMap(map, { maxSide: 300, maxPixels: 60_000, maxWidth: 512, maxHeight: 100 });
  assert.deepEqual([cut.width, cut.height], [150, 100]);
  assert.equal(fitMap(map, { maxSide: 300, maxPixels: 60_000, maxWidth: null, maxHeight: null }), map);
  const small = fitMap(map, { maxSide: 300, maxPixels: 15_000 });
  assert.deepEqual([small.width, small.height], [150, 100]);
  assert.ok(small.data.every((id) => id === 4));
});
