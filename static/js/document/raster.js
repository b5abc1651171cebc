/**
 * The rasteriser: shapes to horizontal spans of whole pixels, never anti-aliased. A pixel belongs to a shape when
 * its centre (column + ½, row + ½) does. Everything is clipped to the map, however far outside the shape lies.
 *
 * @typedef {(y: number, x0: number, x1: number) => void} Span receives row y, columns x0 ≤ x < x1, inside the map
 * @typedef {{x: number, y: number}} Point in pixels; (0, 0) is the top left corner of the first pixel
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 */

/**
 * @param {number} x
 * @param {number} radius
 * @param {number} dy distance of the row from the disc's centre
 * @returns {[number, number] | null} the disc's extent in that row
 */
function discExtent(x, radius, dy) {
  const under = radius * radius - dy * dy;
  if (under < 0) return null;
  const half = Math.sqrt(under);
  return [x - half, x + half];
}

/**
 * The extent, in the row at height cy, of the capsule's body: points whose foot on the line lies between a and b
 * and whose distance from the line is at most the radius.
 *
 * @param {Point} a
 * @param {Point} b
 * @param {number} radius
 * @param {number} cy
 * @returns {[number, number] | null}
 */
function bodyExtent(a, b, radius, cy) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = Math.hypot(dx, dy);
  if (length === 0) return null;
  let low = Number.NEGATIVE_INFINITY;
  let high = Number.POSITIVE_INFINITY;
  // Two strips, each "from ≤ p·x + q ≤ to" along the row: along the line, and across it.
  for (const [p, q, from, to] of [
    [dx, (cy - a.y) * dy - a.x * dx, 0, length * length],
    [-dy, (cy - a.y) * dx + a.x * dy, -radius * length, radius * length],
  ]) {
    if (p === 0) {
      if (q < from || q > to) return null;
      continue;
    }
    const one = (from - q) / p;
    const other = (to - q) / p;
    low = Math.max(low, Math.min(one, other));
    high = Math.min(high, Math.max(one, other));
  }
  return low <= high ? [low, high] : null;
}

/**
 * A round hard brush drawn from a to b: all pixels whose centre is at most diameter / 2 from the segment, and the two
 * pixels that the ends lie in, so that even the thinnest brush leaves a mark and never a gap.
 *
 * @param {Point} a
 * @param {Point} b the same as a for a single dab
 * @param {number} diameter pixels, ≥ 1
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 */
export function capsule(a, b, diameter, width, height, span) {
  const radius = diameter / 2;
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius));
  const bottom = Math.min(height, Math.ceil(Math.max(a.y, b.y) + radius) + 1);
  for (let y = top; y < bottom; y++) {
    const cy = y + 0.5;
    // A capsule is convex: in each row the union of its parts is one run.
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (const extent of [
      discExtent(a.x, radius, cy - a.y),
      discExtent(b.x, radius, cy - b.y),
      bodyExtent(a, b, radius, cy),
    ]) {
      if (!extent) continue;
      low = Math.min(low, extent[0]);
      high = Math.max(high, extent[1]);
    }
    emit(y, Math.ceil(low - 0.5), Math.floor(high - 0.5) + 1, width, height, span);
  }
  for (const { x, y } of [a, b]) emit(Math.floor(y), Math.floor(x), Math.floor(x) + 1, width, height, span);
}

/**
 * @param {number} y
 * @param {number} x0
 * @param {number} x1
 * @param {number} width
 * @param {number} height
 * @param {Span} span
 */
function emit(y, x0, x1, width, height, span) {
  const from = Math.max(0, x0);
  const to = Math.min(width, x1);
  if (y >= 0 && y < height && from < to) span(y, from, to);
}

/**
 * A filled polygon, even-odd.
 *
 * @param {Point[]} points its corners; the last is joined to the first
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 */
export function polygon(points, width, height, span) {
  const ys = points.map((point) => point.y);
  const top = Math.max(0, Math.floor(Math.min(...ys)));
  const bottom = Math.min(height, Math.ceil(Math.max(...ys)));
  for (let y = top; y < bottom; y++) {
    const crossings = rowCrossings(points, y + 0.5);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      emit(y, Math.ceil(crossings[i] - 0.5), Math.ceil(crossings[i + 1] - 0.5), width, height, span);
    }
  }
}

/**
 * @param {Point[]} points
 * @param {number} cy
 * @returns {number[]} where the outline crosses the row, from left to right
 */
function rowCrossings(points, cy) {
  const crossings = [];
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const a = points[j];
    const b = points[i];
    if (a.y <= cy !== b.y <= cy) crossings.push(a.x + ((cy - a.y) / (b.y - a.y)) * (b.x - a.x));
  }
  return crossings.sort((a, b) => a - b);
}

/**
 * Flood fill: the pixels of one label that are connected to (x, y) by their sides. Scanline by scanline (Smith 1979,
 * "Tint fill"), with its own record of what has been seen, so that `span` may write to the map or not.
 *
 * @param {LabelMap} map
 * @param {number} x
 * @param {number} y
 * @param {Span} span
 */
export function flood(map, x, y, span) {
  const { width, height, data } = map;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const wanted = data[y * width + x];
  const source = data.slice();
  const open = (/** @type {number} */ index) => source[index] === wanted && !seen[index];
  const seen = new Uint8Array(width * height);
  const stack = [y * width + x];
  while (stack.length > 0) {
    const index = /** @type {number} */ (stack.pop());
    if (!open(index)) continue;
    const row = Math.floor(index / width) * width;
    let x0 = index - row;
    let x1 = x0 + 1;
    while (x0 > 0 && open(row + x0 - 1)) x0--;
    while (x1 < width && open(row + x1)) x1++;
    seen.fill(1, row + x0, row + x1);
    span(row / width, x0, x1);
    for (const next of [row - width, row + width]) {
      if (next < 0 || next >= width * height) continue;
      // One seed for each run in the neighbouring row.
      for (let column = x0; column < x1; column++) {
        if (open(next + column) && (column === x0 || !open(next + column - 1))) stack.push(next + column);
      }
    }
  }
}
