/**
 * A painting's layers as OpenRaster, which Krita, GIMP and MyPaint open: a zip of PNGs in the palette's colours and a
 * `stack.xml` (OpenRaster specification 0.0.5). Read again, colours become labels.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./layers.js").Layer} Layer
 */
import { DocumentError } from "./errors.js";
import { idsByColor, paletteOf, unknownColor } from "./exchange.js";
import { createMap, resizeNearest } from "./labelmap.js";
import { idOfMeaning } from "./labelset.js";
import { HOLE, MAX_LAYERS } from "./layers.js";
import { decodePng, encodeRgba } from "./png.js";
import { unzip, zip } from "./zip.js";

export const OPENRASTER_TYPE = "image/openraster";

const LIMITS = { maxFiles: 4 * MAX_LAYERS, maxBytes: 256 * 1024 * 1024 };
const MAX_PIXELS = 4096 * 4096;
/** The longer side of a thumbnail, by the specification. */
const THUMBNAIL = 256;

/**
 * @param {{layers: readonly Layer[], map: LabelMap, labelSet: LabelSet}} painting
 * @param {number} time
 * @returns {Promise<Uint8Array>} the file
 */
export async function packOpenRaster({ layers, map, labelSet }, time) {
  const palette = paletteOf(labelSet);
  const png = (/** @type {LabelMap} */ one) => encodeRgba(colored(one, palette));
  const names = layers.map((_, i) => `data/layer${i}.png`);
  const files = [];
  for (const [i, layer] of layers.entries()) files.push({ name: names[i], bytes: await png(layer.map) });
  return zip(
    [
      { name: "mimetype", bytes: new TextEncoder().encode(OPENRASTER_TYPE) },
      { name: "stack.xml", bytes: new TextEncoder().encode(stackOf(layers, names, map)) },
      ...files,
      { name: "mergedimage.png", bytes: await png(map) },
      { name: "Thumbnails/thumbnail.png", bytes: await png(smaller(map)) },
      // The type stands first and is stored, so that a reader of the first bytes knows the file.
    ].map((entry) => ({ ...entry, stored: !entry.name.endsWith(".xml") })),
    time,
  );
}

/** Whether unpacked files are OpenRaster's. @param {Uint8Array} bytes of a zip */
export function isOpenRaster(bytes) {
  return new TextDecoder("latin1").decode(bytes.subarray(30, 54)) === `mimetype${OPENRASTER_TYPE}`;
}

/**
 * @param {Uint8Array} bytes
 * @param {LabelSet} set the colours that stand for labels
 * @param {() => string} newId
 * @returns {Promise<readonly Layer[]>} bottom first, without holes in the lowest
 * @throws {DocumentError}
 */
export async function readOpenRaster(bytes, set, newId) {
  const files = unzip(bytes, LIMITS);
  const stack = readStack(new TextDecoder().decode(files.get("stack.xml")));
  const colors = idsByColor(set);
  /** @type {Layer[]} */
  const layers = [];
  for (const { src, name, visible, locked, x, y } of stack.layers) {
    const png = files.get(src);
    if (!png) throw wrong("It lacks its part “{name}”.", { name: src.slice(0, 60) });
    const image = await decodePng(png, { maxPixels: MAX_PIXELS });
    if (image.kind !== "rgb") throw wrong("Its layer “{name}” is not in RGB.", { name });
    const map = placed(labelled(image, colors, set), stack, x, y);
    layers.push({ id: newId(), name, visible, locked, map });
  }
  const [bottom, ...above] = layers.reverse();
  const sky = idOfMeaning(set, { name: "sky" });
  const data = bottom.map.data.map((id) => (id === HOLE ? sky : id));
  return [{ ...bottom, map: { ...bottom.map, data } }, ...above];
}

/**
 * @param {LabelMap} map
 * @param {Uint8Array} palette
 * @returns {{width: number, height: number, data: Uint8Array}} RGB and opacity
 */
function colored({ width, height, data }, palette) {
  const out = new Uint8Array(width * height * 4);
  for (const [i, id] of data.entries()) {
    if (id === HOLE) continue;
    out.set(palette.subarray(id * 3, id * 3 + 3), i * 4);
    out[i * 4 + 3] = 255;
  }
  return { width, height, data: out };
}

/** @param {LabelMap} map */
function smaller(map) {
  const scale = Math.min(1, THUMBNAIL / Math.max(map.width, map.height));
  const [width, height] = [map.width, map.height].map((side) => Math.max(1, Math.round(side * scale)));
  return scale === 1 ? map : resizeNearest(map, width, height);
}

/**
 * @param {readonly Layer[]} layers bottom first
 * @param {string[]} names of their files
 * @param {LabelMap} map
 */
function stackOf(layers, names, { width, height }) {
  const lines = layers.map(({ name, visible, locked }, i) => {
    const attributes = [
      `name="${quoted(name || `Layer ${i + 1}`)}"`,
      `src="${names[i]}" x="0" y="0" opacity="1.0" composite-op="svg:src-over"`,
      `visibility="${visible ? "visible" : "hidden"}"`,
      ...(locked ? ['edit-locked="true"'] : []),
    ];
    return `    <layer ${attributes.join(" ")}/>`;
  });
  // The first in the file lies on top.
  return `<?xml version="1.0" encoding="UTF-8"?>
<image version="0.0.5" w="${width}" h="${height}">
  <stack>
${lines.reverse().join("\n")}
  </stack>
</image>
`;
}

/** @param {string} text */
function quoted(text) {
  return text.replace(/[<>&"\p{Cc}]/gu, (char) => `&#${char.codePointAt(0)};`);
}

/**
 * The little of XML that a stack is: elements with attributes in quotes. Groups are read as if they were not there. An
 * element has a bounded length, so that no file makes the search take for ever.
 *
 * @param {string} xml
 */
function readStack(xml) {
  const image = /<image\s[^<>]{0,5000}>/.exec(xml)?.[0];
  if (!image) throw wrong("It has no readable stack.xml.");
  const { w, h } = attributesOf(image);
  const [width, height] = [Number(w), Number(h)];
  if (!(width >= 1 && height >= 1 && width * height <= MAX_PIXELS)) throw wrong("Its size is missing.");
  const layers = [...xml.matchAll(/<layer\s[^<>]{0,5000}>/g)].map(([tag]) => {
    const { src = "", name = "", x = "0", y = "0", visibility, ...more } = attributesOf(tag);
    return {
      src,
      name: name.slice(0, 200),
      x: Math.round(Number(x)) || 0,
      y: Math.round(Number(y)) || 0,
      visible: visibility !== "hidden",
      locked: more["edit-locked"] === "true",
    };
  });
  if (layers.length === 0 || layers.length > MAX_LAYERS) {
    throw wrong("It has {count} layers; 1 to {most} can be opened.", {
      count: layers.length,
      most: MAX_LAYERS,
    });
  }
  return { width, height, layers };
}

/** @param {string} tag @returns {Record<string, string>} */
function attributesOf(tag) {
  const found = tag.matchAll(/([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g);
  return Object.fromEntries([...found].map(([, name, a, b]) => [name, plain(a ?? b)]));
}

const ENTITIES = /** @type {Record<string, string>} */ ({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" });

/** @param {string} text */
function plain(text) {
  return text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]+);/gi, (whole, name) => {
    if (!name.startsWith("#")) return ENTITIES[name] ?? whole;
    const code = Number(name[1] === "x" ? `0x${name.slice(2)}` : name.slice(1));
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/**
 * @param {import("./png.js").RgbImage} image
 * @param {Map<number, number>} colors
 * @param {LabelSet} set
 * @returns {LabelMap} with holes where the image is clear
 */
function labelled({ width, height, data, alpha }, colors, set) {
  const map = createMap(width, height, HOLE);
  /** @type {Map<number, number>} */
  const unknown = new Map();
  for (let i = 0; i < map.data.length; i++) {
    // An editor's soft brush leaves an edge: what is mostly there counts.
    if (alpha && alpha[i] < 128) continue;
    const color = (data[i * 3] << 16) | (data[i * 3 + 1] << 8) | data[i * 3 + 2];
    const id = colors.get(color);
    if (id === undefined) unknown.set(color, (unknown.get(color) ?? 0) + 1);
    else map.data[i] = id;
  }
  if (unknown.size > 0) throw unknownColor(unknown, set);
  return map;
}

/**
 * A layer may be smaller than the picture, and lie anywhere.
 *
 * @param {LabelMap} map
 * @param {{width: number, height: number}} size
 * @param {number} x
 * @param {number} y
 * @returns {LabelMap}
 */
function placed(map, { width, height }, x, y) {
  if (x === 0 && y === 0 && map.width === width && map.height === height) return map;
  const out = createMap(width, height, HOLE);
  const [left, right] = [Math.max(0, x), Math.min(width, x + map.width)];
  for (let row = Math.max(0, y); row < Math.min(height, y + map.height) && left < right; row++) {
    const from = (row - y) * map.width - x;
    out.data.set(map.data.subarray(from + left, from + right), row * width + left);
  }
  return out;
}

/** @param {string} why @param {import("./errors.js").Values} [values] */
function wrong(why, values) {
  return new DocumentError(
    "This OpenRaster file cannot be opened.",
    why,
    "Open one that was saved here, with its layers in the palette’s colours.",
    values,
  );
}
