/**
 * Label maps as files: what an image means in a label set, and back.
 *
 * In a file that we wrote, a palette value is a class id, and ids never pass through colours. Some editors, ImageMagick
 * for one, write a palette anew: shorter, and in an order of their own. Only there, where the palette's colours are not
 * those that the set has at these ids but are all colours of the set, do colours decide.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./labelset.js").Color} Color
 * @typedef {import("./png.js").IdImage} IdImage
 * @typedef {import("./png.js").RgbImage} RgbImage
 * @typedef {{id: number, name: string, pixels: number, to: string, kind: "same" | "near" | "lost"}} Converted what
 *   became of a label; `near`: the other set has only something broader, `lost`: nothing at all
 */
import { DocumentError } from "./errors.js";
import { countLabels, resizeNearest } from "./labelmap.js";
import { findMeaning, labelById, matches, nearestLabel, sameSet } from "./labelset.js";
import { decodePng, encodePng } from "./png.js";

/** Nothing larger is opened at all; what is larger than the model's limits is made smaller. */
const MAX_IMPORT_PIXELS = 64 * 1024 * 1024;
/** What a report tells first. */
const KINDS = ["lost", "near", "same"];

/**
 * @param {LabelSet} set
 * @returns {Uint8Array} 768 bytes: the set's colours at their ids, black elsewhere. Where a set gives two labels the same
 *   colour the later one is a shade off, so that a file whose palette was written anew still tells them apart
 */
export function paletteOf(set) {
  const palette = new Uint8Array(768);
  /** @type {Set<number>} */
  const taken = new Set();
  for (const { id, color } of [...set.labels].sort((a, b) => a.id - b.id)) {
    let [r, g, b] = color;
    const step = b < 128 ? 1 : -1;
    while (taken.has(pack(r, g, b))) b += step;
    taken.add(pack(r, g, b));
    palette.set([r, g, b], id * 3);
  }
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
 * @param {Uint8Array} bytes a PNG
 * @returns {Promise<IdImage | RgbImage>}
 * @throws {DocumentError}
 */
export function readImage(bytes) {
  return decodePng(bytes, { maxPixels: MAX_IMPORT_PIXELS });
}

/**
 * @param {Uint8Array} bytes a PNG: ids in a palette or in grey, or colours of the set
 * @param {LabelSet} set
 * @returns {Promise<LabelMap>}
 * @throws {DocumentError} naming the unknown id or colour, its count and the nearest label
 */
export async function importMap(bytes, set) {
  return readMap(await readImage(bytes), set);
}

/**
 * What an image means in a label set.
 *
 * @param {IdImage | RgbImage} image
 * @param {LabelSet} set
 * @returns {LabelMap}
 * @throws {DocumentError} naming the unknown id or colour, its count and the nearest label
 */
export function readMap(image, set) {
  if (image.kind === "rgb") return fromColors(image, set);
  const table = byColors(image, set);
  if (!table) return fromIds(image, set);
  return { width: image.width, height: image.height, data: image.data.map((value) => table[value]) };
}

/**
 * Which of several sets an image can be in, the likeliest first.
 *
 * @param {IdImage | RgbImage} image
 * @param {readonly LabelSet[]} sets the likelier first
 * @returns {{set: LabelSet, sure: boolean}[]} `sure`: its colours say so, and not only its numbers
 */
export function recognise(image, sets) {
  /** @type {{set: LabelSet, sure: boolean}[]} */
  const found = [];
  for (const set of sets) {
    if (found.some((other) => sameSet(other.set, set)) || !readable(image, set)) continue;
    found.push({ set, sure: image.kind === "rgb" || byColors(image, set) !== null || wears(image, set) });
  }
  return found.sort((a, b) => Number(b.sure) - Number(a.sure));
}

/** @param {IdImage | RgbImage} image @param {LabelSet} set */
function readable(image, set) {
  try {
    readMap(image, set);
    return true;
  } catch {
    return false;
  }
}

/**
 * The same map in another set, by meaning.
 *
 * @param {LabelMap} map
 * @param {LabelSet} from
 * @param {LabelSet} to
 * @returns {{map: LabelMap, report: Converted[]}} the report has a line for each label that stands in the map, those that
 *   lost their meaning first, then by size
 */
export function convertMap(map, from, to) {
  const counts = countLabels(map.data);
  const found = matches(from, to);
  const table = new Uint8Array(256);
  for (const [id, match] of found) table[id] = match.id;
  const report = from.labels
    .filter(({ id }) => counts[id] > 0)
    .map((label) => {
      const { id, exact } = /** @type {import("./labelset.js").Match} */ (found.get(label.id));
      const kind = /** @type {Converted["kind"]} */ (
        exact ? "same" : findMeaning(to, label) ? "near" : "lost"
      );
      const { id: was, name } = label;
      return { id: was, name, pixels: counts[was], to: labelById(to, id)?.name ?? "", kind };
    })
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || b.pixels - a.pixels);
  return { map: { ...map, data: map.data.map((id) => table[id]) }, report };
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

/** Whether a palette has the set's colours at the ids that are used. @param {IdImage} image @param {LabelSet} set */
function wears({ data, palette }, set) {
  if (!palette) return false;
  const [counts, own] = [countLabels(data), paletteOf(set)];
  return set.labels.every(({ id, color }) => {
    if (counts[id] === 0) return true;
    const worn = palette.subarray(id * 3, id * 3 + 3);
    if (worn.length < 3) return false;
    return [color, own.subarray(id * 3, id * 3 + 3)].some((one) =>
      worn.every((value, k) => value === one[k]),
    );
  });
}

/**
 * Ids by the colours of an image's values, where only these say what is meant: see above.
 *
 * @param {IdImage} image
 * @param {LabelSet} set
 * @returns {Uint8Array | null} 256 ids; null where values are ids
 */
function byColors({ data, palette }, set) {
  const counts = countLabels(data);
  const used = [...counts.keys()].filter((value) => counts[value] > 0);
  const known = used.every((id) => labelById(set, id));
  // In a greyscale file a number is an id wherever it can be one; an editor may have made colours of grey into greys.
  if (palette ? known && wears({ kind: "ids", width: 0, height: 0, data, palette }, set) : known) return null;
  const colors = idsByColor(set);
  const table = new Uint8Array(256);
  for (const value of used) {
    if (palette && palette.length < value * 3 + 3) return null;
    const [r, g, b] = palette ? palette.subarray(value * 3, value * 3 + 3) : [value, value, value];
    const id = colors.get(pack(r, g, b));
    if (id === undefined) return null;
    table[value] = id;
  }
  return table;
}

/** The lower id wins where a set gives two labels the same colour. @param {LabelSet} set @returns {Map<number, number>} */
export function idsByColor(set) {
  /** @type {Map<number, number>} */
  const ids = new Map();
  const own = paletteOf(set);
  for (const { id } of set.labels) ids.set(pack(own[id * 3], own[id * 3 + 1], own[id * 3 + 2]), id);
  for (const { id, color } of [...set.labels].sort((a, b) => b.id - a.id)) ids.set(pack(...color), id);
  return ids;
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
      "The label map uses id {id}, which this label set does not have.",
      unknown.length > 1
        ? "{count} pixels have it (and there are {others} more unknown ones); “{set}” knows ids {ids}."
        : "{count} pixels have it; “{set}” knows ids {ids}.",
      "Open a map made for this label set, or change those pixels to one of its ids.",
      {
        id: worst,
        count: counts[worst].toLocaleString("en"),
        others: unknown.length - 1,
        set: set.name,
        ids: idRange(set),
      },
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
      "{count} pixels are not fully opaque, so their colour names no label.",
      "Flatten it in an image editor and save it as RGB or as a palette PNG.",
      { count: transparent.toLocaleString("en") },
    );
  }
  const known = idsByColor(set);
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
export function unknownColor(unknown, set) {
  const [color, count] = [...unknown].reduce((a, b) => (b[1] > a[1] ? b : a));
  const nearest = nearestLabel(set, [color >> 16, (color >> 8) & 255, color & 255]);
  return new DocumentError(
    "The picture has the colour {color}, which stands for no label.",
    unknown.size > 1
      ? "{count} pixels have it (and there are {others} more unknown ones); the nearest label is {label} ({its})."
      : "{count} pixels have it; the nearest label is {label} ({its}).",
    unknown.size > 32
      ? "This looks like a photo or a smoothed map: open a label map in flat colours."
      : "Change it to one of the palette’s colours, without anti-aliasing, and open it again.",
    {
      color: hex(color),
      count: count.toLocaleString("en"),
      others: unknown.size - 1,
      label: nearest.name,
      its: hex(pack(...nearest.color)),
    },
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

/** @param {LabelSet} set */
function idRange(set) {
  const ids = set.labels.map((label) => label.id);
  return `${Math.min(...ids)}–${Math.max(...ids)}`;
}
