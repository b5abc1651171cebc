/**
 * Selections: planes of 0 and 1. `null` stands for no selection, which holds nothing back; a selection without a single
 * pixel is `null` too.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {"new" | "add" | "subtract" | "intersect"} SelectMode how a new shape meets what is selected already
 * @typedef {{rect: Rect, values: Uint8Array, mask: Uint8Array}} Piece pixels lifted from a map: `values` and `mask` have
 *   the rectangle's size; where `mask` is 0 there is nothing
 */
import { createMap } from "./labelmap.js";
import { intersect } from "./rect.js";

/**
 * @param {number} width
 * @param {number} height
 * @param {(span: import("./raster.js").Span) => void} draw
 * @returns {LabelMap}
 */
export function drawnMask(width, height, draw) {
  const mask = createMap(width, height);
  draw((y, x0, x1) => void mask.data.fill(1, y * width + x0, y * width + x1));
  return mask;
}

/**
 * @param {LabelMap | null} before
 * @param {LabelMap} shape
 * @param {SelectMode} mode
 * @returns {LabelMap | null} a new plane, or `shape` itself
 */
export function combine(before, shape, mode) {
  if (mode === "new" || (!before && mode === "add")) return orNull(shape);
  if (!before) return null;
  const join = {
    add: (/** @type {number} */ a, /** @type {number} */ b) => a | b,
    subtract: (/** @type {number} */ a, /** @type {number} */ b) => a & (b ^ 1),
    intersect: (/** @type {number} */ a, /** @type {number} */ b) => a & b,
  }[mode];
  return orNull({ ...shape, data: before.data.map((value, i) => join(value, shape.data[i])) });
}

/**
 * @param {LabelMap | null} selection
 * @param {number} width
 * @param {number} height
 * @returns {LabelMap | null}
 */
export function inverted(selection, width, height) {
  if (!selection) return createMap(width, height, 1);
  return orNull({ width, height, data: selection.data.map((value) => value ^ 1) });
}

/** @param {LabelMap} mask */
function orNull(mask) {
  return mask.data.includes(1) ? mask : null;
}

/** @param {LabelMap} mask @returns {Rect | null} the smallest rectangle around all that is selected */
export function extent({ width, height, data }) {
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(1);
    if (first < 0) continue;
    left = Math.min(left, first);
    right = Math.max(right, row.lastIndexOf(1) + 1);
    top = Math.min(top, y);
    bottom = y + 1;
  }
  return right > left ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}

/** @param {LabelMap} mask @param {import("./raster.js").Point} point */
export function holds({ width, height, data }, { x, y }) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  return column >= 0 && row >= 0 && column < width && row < height && data[row * width + column] === 1;
}

/**
 * @param {LabelMap} map
 * @param {LabelMap | null} selection null for all of it
 * @param {number} [nothing] a value that stands for nothing, and is not lifted
 * @returns {Piece | null} null when there is nothing to lift
 */
export function lift(map, selection, nothing = -1) {
  const rect = selection ? extent(selection) : { x: 0, y: 0, width: map.width, height: map.height };
  if (!rect) return null;
  const values = new Uint8Array(rect.width * rect.height);
  const mask = new Uint8Array(rect.width * rect.height);
  for (let row = 0; row < rect.height; row++) {
    for (let column = 0; column < rect.width; column++) {
      const from = (rect.y + row) * map.width + rect.x + column;
      if ((selection && !selection.data[from]) || map.data[from] === nothing) continue;
      values[row * rect.width + column] = map.data[from];
      mask[row * rect.width + column] = 1;
    }
  }
  return mask.includes(1) ? { rect, values, mask } : null;
}

/**
 * A piece at another place, as much of it as is inside.
 *
 * @param {Piece} piece
 * @param {number} dx whole pixels
 * @param {number} dy whole pixels
 * @param {number} width of the map
 * @param {number} height of the map
 * @returns {Piece | null} null when all of it is outside
 */
export function placed(piece, dx, dy, width, height) {
  const rect = { ...piece.rect, x: piece.rect.x + dx, y: piece.rect.y + dy };
  return cropped({ ...piece, rect }, { x: 0, y: 0, width, height });
}

/**
 * @param {Piece} piece
 * @param {Rect} to
 * @returns {Piece | null} what of it lies in the rectangle; null when nothing does
 */
export function cropped({ rect, values, mask }, to) {
  const inside = intersect(rect, to);
  if (!inside) return null;
  if (inside.width === rect.width && inside.height === rect.height) return { rect, values, mask };
  const cut = (/** @type {Uint8Array} */ plane) => {
    const out = new Uint8Array(inside.width * inside.height);
    for (let row = 0; row < inside.height; row++) {
      const from = (inside.y - rect.y + row) * rect.width + inside.x - rect.x;
      out.set(plane.subarray(from, from + inside.width), row * inside.width);
    }
    return out;
  };
  return { rect: inside, values: cut(values), mask: cut(mask) };
}

/** @param {Piece | null} piece @param {number} width @param {number} height @returns {LabelMap | null} where it lies */
export function maskOfPiece(piece, width, height) {
  if (!piece) return null;
  const { rect, mask } = piece;
  const out = createMap(width, height);
  for (let row = 0; row < rect.height; row++) {
    const from = row * rect.width;
    out.data.set(mask.subarray(from, from + rect.width), (rect.y + row) * width + rect.x);
  }
  return out;
}

/**
 * The border of a selection, along the sides of pixels.
 *
 * @param {LabelMap} mask
 * @returns {Int16Array} pieces of line, x0 y0 x1 y1 each, every one horizontal or vertical and as long as it can be
 */
export function outline(mask) {
  const around = extent(mask);
  if (!around) return new Int16Array(0);
  const { width, height, data } = mask;
  const at = (/** @type {number} */ x, /** @type {number} */ y) =>
    x < 0 || y < 0 || x >= width || y >= height ? 0 : data[y * width + x];
  const [left, top, right, bottom] = [around.x, around.y, around.x + around.width, around.y + around.height];
  /** @type {number[]} */
  const lines = [];
  for (let y = top; y <= bottom; y++) {
    eachRun(
      left,
      right,
      (x) => at(x, y - 1) !== at(x, y),
      (from, to) => lines.push(from, y, to, y),
    );
  }
  for (let x = left; x <= right; x++) {
    eachRun(
      top,
      bottom,
      (y) => at(x - 1, y) !== at(x, y),
      (from, to) => lines.push(x, from, x, to),
    );
  }
  return Int16Array.from(lines);
}

/**
 * @param {number} from
 * @param {number} to
 * @param {(i: number) => boolean} test
 * @param {(from: number, to: number) => void} told of every longest run for which the test holds
 */
function eachRun(from, to, test, told) {
  for (let i = from; i < to; i++) {
    if (!test(i)) continue;
    const start = i;
    while (i < to && test(i)) i++;
    told(start, i);
  }
}
