/**
 * Label maps as files: what an image means in a label set, and back.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./labelset.js").Color} Color
 * @typedef {import("./png.js").IdImage} IdImage
 * @typedef {import("./png.js").RgbImage} RgbImage
 */
import { DocumentError } from "./errors.js";
import { countLabels, resizeNearest } from "./labelmap.js";
import { labelById, nearestLabel } from "./labelset.js";
import { decodePng, encodePng } from "./png.js";

/** Nothing larger is opened at all; what is larger than the model's limits is made smaller. */
const MAX_IMPORT_PIXELS = 64 * 1024 * 1024;

/**
 * @param {LabelSet} set
 * @returns {Uint8Array} 768 bytes: the set's colours at their ids, black elsewhere
 */
export function paletteOf(set) {
  const palette = new Uint8Array(768);
  for (const { id, color } of set.labels) palette.set(color, id * 3);
  return palette;
}

/**
 * @param {LabelMap} map
 * @param {LabelSet} set
 * @returns {Promise<Uint8Array>} an 8-bit palette PNG
 */
export function exportMap(map, set) {
  return encodePng(map, paletteOf(set));
}

/**
 * @param {LabelMap} plane of small numbers
 * @returns {Promise<Uint8Array>} an 8-bit palette PNG of them, each in a grey of its own
 */
export function exportPlane(plane) {
  return encodePng(
    plane,
    Uint8Array.from({ length: 768 }, (_, i) => (Math.floor(i / 3) * 17) % 256),
  );
}

/**
 * @param {Uint8Array} bytes a PNG: ids in a palette or in grey, or colours of the set
 * @param {LabelSet} set
 * @returns {Promise<LabelMap>}
 * @throws {DocumentError} naming the unknown id or colour, its count and the nearest label
 */
export async function importMap(bytes, set) {
  const image = await decodePng(bytes, { maxPixels: MAX_IMPORT_PIXELS });
  return image.kind === "ids" ? fromIds(image, set) : fromColors(image, set);
}

/**
 * The largest map of the same shape within the limits; the map itself when it fits.
 *
 * @param {LabelMap} map
 * @param {{maxSide: number, maxPixels: number, maxWidth?: number | null, maxHeight?: number | null}} limits
 * @returns {LabelMap}
 */
export function fitMap(map, { maxSide, maxPixels, maxWidth, maxHeight }) {
  const scale = Math.min(
    1,
    maxSide / Math.max(map.width, map.height),
    (maxWidth ?? maxSide) / map.width,
    (maxHeight ?? maxSide) / map.height,
    Math.sqrt(maxPixels / (map.width * map.height)),
  );
  if (scale === 1) return map;
  return resizeNearest(
    map,
    Math.max(1, Math.floor(map.width * scale)),
    Math.max(1, Math.floor(map.height * scale)),
  );
}

/**
 * @param {IdImage} image
 * @param {LabelSet} set
 * @returns {LabelMap}
 */
function fromIds({ width, height, data }, set) {
  const counts = countLabels(data);
  const unknown = [...counts.keys()].filter((id) => counts[id] > 0 && !labelById(set, id));
  if (unknown.length > 0) {
    const worst = unknown.reduce((a, b) => (counts[b] > counts[a] ? b : a));
    throw new DocumentError(
      `The label map uses id ${worst}, which this label set does not have.`,
      `${pixels(counts[worst])} carry it${others(unknown.length)}; “${set.name}” knows ids ${idRange(set)}.`,
      "Open a map made for this label set, or change those pixels to one of its ids.",
    );
  }
  return { width, height, data };
}

/**
 * @param {RgbImage} image
 * @param {LabelSet} set
 * @returns {LabelMap}
 */
function fromColors({ width, height, data, transparent }, set) {
  if (transparent > 0) {
    throw new DocumentError(
      "The picture is partly transparent.",
      `${pixels(transparent)} are not fully opaque, so their colour names no label.`,
      "Flatten it in an image editor and save it as RGB or as a palette PNG.",
    );
  }
  /** @type {Map<number, number>} */
  const known = new Map();
  // The lower id wins where a set gives two labels the same colour.
  for (const { id, color } of [...set.labels].reverse()) known.set(pack(color[0], color[1], color[2]), id);
  /** @type {Map<number, number>} */
  const unknown = new Map();
  const labels = new Uint8Array(width * height);
  for (let i = 0; i < labels.length; i++) {
    const color = pack(data[i * 3], data[i * 3 + 1], data[i * 3 + 2]);
    const id = known.get(color);
    if (id === undefined) unknown.set(color, (unknown.get(color) ?? 0) + 1);
    else labels[i] = id;
  }
  if (unknown.size > 0) throw unknownColor(unknown, set);
  return { width, height, data: labels };
}

/**
 * @param {Map<number, number>} unknown colour → pixels
 * @param {LabelSet} set
 */
function unknownColor(unknown, set) {
  const [color, count] = [...unknown].reduce((a, b) => (b[1] > a[1] ? b : a));
  const nearest = nearestLabel(set, [color >> 16, (color >> 8) & 255, color & 255]);
  return new DocumentError(
    `The picture has the colour ${hex(color)}, which stands for no label.`,
    `${pixels(count)} have it${others(unknown.size)}; the nearest label is ${nearest.name} (${hex(pack(...nearest.color))}).`,
    unknown.size > 32
      ? "This looks like a photo or a smoothed map: open a label map in flat colours."
      : "Change it to one of the palette’s colours, without anti-aliasing, and open it again.",
  );
}

/**
 * @param {number} r
 * @param {number} g
 * @param {number} b
 */
function pack(r, g, b) {
  return (r << 16) | (g << 8) | b;
}

/** @param {number} color */
function hex(color) {
  return `#${color.toString(16).padStart(6, "0")}`;
}

/** @param {number} count */
function pixels(count) {
  return count === 1 ? "1 pixel" : `${count.toLocaleString("en")} pixels`;
}

/** @param {number} kinds */
function others(kinds) {
  return kinds > 1 ? ` (and there are ${kinds - 1} more unknown ones)` : "";
}

/** @param {LabelSet} set */
function idRange(set) {
  const ids = set.labels.map((label) => label.id);
  return `${Math.min(...ids)}–${Math.max(...ids)}`;
}
