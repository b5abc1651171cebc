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
 * The four points where the two outer tangents touch the discs around a and b.
 *
 * @param {Point} a
 * @param {number} ra
 * @param {Point} b
 * @param {number} rb
 * @returns {Point[]} none when one disc lies in the other
 */
function tangentPoints(a, ra, b, rb) {
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  const sine = (ra - rb) / length;
  if (!(Math.abs(sine) < 1)) return [];
  const cosine = Math.sqrt(1 - sine * sine);
  const [ux, uy] = [(b.x - a.x) / length, (b.y - a.y) / length];
  const left = { x: ux * sine - uy * cosine, y: uy * sine + ux * cosine };
  const right = { x: ux * sine + uy * cosine, y: uy * sine - ux * cosine };
  const at = (/** @type {Point} */ p, /** @type {number} */ r, /** @type {Point} */ n) => ({
    x: p.x + r * n.x,
    y: p.y + r * n.y,
  });
  return [at(a, ra, left), at(b, rb, left), at(b, rb, right), at(a, ra, right)];
}

/**
 * Where the outline of a convex shape crosses a row: its extent there.
 *
 * @param {Point[]} corners
 * @param {number} cy
 * @returns {[number, number] | null}
 */
function convexExtent(corners, cy) {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [a, b] = [corners[j], corners[i]];
    if (a.y === b.y || Math.min(a.y, b.y) > cy || Math.max(a.y, b.y) < cy) continue;
    const x = a.x + ((cy - a.y) / (b.y - a.y)) * (b.x - a.x);
    low = Math.min(low, x);
    high = Math.max(high, x);
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
  taper(a, diameter, b, diameter, width, height, span);
}

/**
 * The same with a brush that grows or shrinks on its way: the convex hull of the discs at both ends.
 *
 * @param {Point} a
 * @param {number} atA diameter there, pixels
 * @param {Point} b
 * @param {number} atB
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 */
export function taper(a, atA, b, atB, width, height, span) {
  const [ra, rb] = [atA / 2, atB / 2];
  const body = tangentPoints(a, ra, b, rb);
  const top = Math.max(0, Math.floor(Math.min(a.y - ra, b.y - rb)));
  const bottom = Math.min(height, Math.ceil(Math.max(a.y + ra, b.y + rb)) + 1);
  for (let y = top; y < bottom; y++) {
    const cy = y + 0.5;
    // The hull is convex: in each row the union of its parts is one run.
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (const extent of [
      discExtent(a.x, ra, cy - a.y),
      discExtent(b.x, rb, cy - b.y),
      convexExtent(body, cy),
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
 * @param {import("./rect.js").Rect} rect may lie outside the map
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 */
export function rectangle({ x, y, width: across, height: down }, width, height, span) {
  for (let row = Math.max(0, y); row < Math.min(height, y + down); row++) {
    emit(row, x, x + across, width, height, span);
  }
}

/**
 * The ellipse that touches the four sides of a rectangle.
 *
 * @param {import("./rect.js").Rect} rect may lie outside the map
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 */
export function ellipse({ x, y, width: across, height: down }, width, height, span) {
  const [rx, ry] = [across / 2, down / 2];
  for (let row = Math.max(0, y); row < Math.min(height, y + down); row++) {
    const far = (row + 0.5 - y - ry) / ry;
    const half = rx * Math.sqrt(1 - far * far);
    emit(row, Math.ceil(x + rx - half - 0.5), Math.floor(x + rx + half - 0.5) + 1, width, height, span);
  }
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
 * A filled polygon. Each edge is walked down its own rows once, so that an outline drawn by hand, of thousands of short
 * edges, costs no more than its length.
 *
 * @param {Point[]} points its corners; the last is joined to the first
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Span} span
 * @param {"even-odd" | "nonzero"} [rule] what is inside where the outline crosses itself: every second part, or all
 */
export function polygon(points, width, height, span, rule = "even-odd") {
  const rows = rowCrossings(points, height);
  for (const [y, crossings] of rows) {
    crossings.sort((a, b) => a.x - b.x);
    let winding = 0;
    for (let i = 0; i + 1 < crossings.length; i++) {
      winding += crossings[i].way;
      const inside = rule === "nonzero" ? winding !== 0 : i % 2 === 0;
      if (inside)
        emit(y, Math.ceil(crossings[i].x - 0.5), Math.ceil(crossings[i + 1].x - 0.5), width, height, span);
    }
  }
}

/**
 * @param {Point[]} points
 * @param {number} height of the map
 * @returns {Map<number, {x: number, way: 1 | -1}[]>} by row: where the outline crosses its middle, and down or up
 */
function rowCrossings(points, height) {
  /** @type {Map<number, {x: number, way: 1 | -1}[]>} */
  const rows = new Map();
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [a, b] = [points[j], points[i]];
    const [upper, lower] = a.y < b.y ? [a, b] : [b, a];
    const way = a.y < b.y ? 1 : -1;
    const last = Math.min(height, Math.ceil(lower.y - 0.5));
    for (let y = Math.max(0, Math.ceil(upper.y - 0.5)); y < last; y++) {
      const x = a.x + ((y + 0.5 - a.y) / (b.y - a.y)) * (b.x - a.x);
      const row = rows.get(y);
      if (row) row.push({ x, way });
      else rows.set(y, [{ x, way }]);
    }
  }
  return rows;
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

/**
 * The pixels of one label, connected or not: those that have the label of (x, y).
 *
 * @param {LabelMap} map
 * @param {number} x
 * @param {number} y
 * @param {Span} span
 */
export function allOf({ width, height, data }, x, y, span) {
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const wanted = data[y * width + x];
  const source = data.slice();
  for (let row = 0; row < height; row++) {
    for (let from = 0; from < width; from++) {
      if (source[row * width + from] !== wanted) continue;
      let to = from + 1;
      while (to < width && source[row * width + to] === wanted) to++;
      span(row, from, to);
      from = to;
    }
  }
}
