/**
 * Tidying labels: borders made smooth, holes filled. Both read a map and tell what should stand where; neither writes.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 */

/**
 * Majority filter (a mode filter): each pixel becomes the value that most pixels of its square window have; where several
 * have as many, its own value stays if it is one of them, and otherwise the lowest wins. Only near borders is anything
 * counted.
 *
 * @param {LabelMap} map
 * @param {LabelMap | null} selection which pixels may change; null for all
 * @param {number} [radius] the window reaches so far; at the edge of the map it is smaller
 * @returns {Uint8Array} of the map's size
 */
export function smoothed(map, selection, radius = 2) {
  const { width, height, data } = map;
  const out = data.slice();
  const counts = new Uint16Array(256);
  const mixed = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    const top = Math.max(0, y - radius);
    const bottom = Math.min(height - 1, y + radius);
    markMixed(map, y, top, bottom, mixed);
    let borders = 0;
    for (let x = 0; x < Math.min(radius, width); x++) borders += mixed[x];
    for (let x = 0; x < width; x++) {
      if (x + radius < width) borders += mixed[x + radius];
      if (x > radius) borders -= mixed[x - radius - 1];
      if (borders === 0 || (selection && !selection.data[y * width + x])) continue;
      const window = { left: Math.max(0, x - radius), right: Math.min(width - 1, x + radius), top, bottom };
      out[y * width + x] = majority(map, window, data[y * width + x], counts);
    }
  }
  return out;
}

/**
 * @param {LabelMap} map
 * @param {number} y
 * @param {number} top
 * @param {number} bottom
 * @param {Uint8Array} mixed receives 1 where the column from top to bottom is not all of one value, or not of its left
 *   neighbour's
 */
function markMixed({ width, data }, y, top, bottom, mixed) {
  const middle = y * width;
  mixed.fill(0);
  for (let row = top; row <= bottom; row++) {
    const start = row * width;
    for (let x = 0; x < width; x++) if (data[start + x] !== data[middle + x]) mixed[x] = 1;
  }
  for (let x = 1; x < width; x++) {
    if (data[middle + x] === data[middle + x - 1]) continue;
    mixed[x] = 1;
    mixed[x - 1] = 1;
  }
}

/**
 * @param {LabelMap} map
 * @param {{left: number, right: number, top: number, bottom: number}} window inclusive
 * @param {number} own
 * @param {Uint16Array} counts all 0, and again when it is done
 */
function majority({ width, data }, { left, right, top, bottom }, own, counts) {
  let best = own;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) counts[data[y * width + x]]++;
  }
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const value = data[y * width + x];
      const more = counts[value] - counts[best];
      if (more > 0 || (more === 0 && best !== own && value < best)) best = value;
    }
  }
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) counts[data[y * width + x]] = 0;
  }
  return best;
}

/**
 * Holes: connected patches of one value that are surrounded by a single other one and do not touch the edge of the map.
 * They get the value around them.
 *
 * @param {LabelMap} map
 * @param {LabelMap | null} selection only patches that lie in it as a whole; null for all
 * @param {number} largest patches of more pixels are no holes
 * @returns {Uint8Array} of the map's size
 */
export function filled(map, selection, largest) {
  const { runs, parent } = patches(map);
  const root = (/** @type {number} */ i) => find(parent, i);
  /** @type {Map<number, {size: number, around: number, whole: boolean}>} */
  const found = new Map();
  for (const [i, run] of runs.entries()) {
    const patch = found.get(root(i)) ?? { size: 0, around: NOTHING, whole: true };
    found.set(root(i), patch);
    patch.size += run.to - run.from;
    patch.around = surrounding(map, run, patch.around);
    if (selection && patch.whole) {
      const row = run.y * map.width;
      patch.whole = !selection.data.subarray(row + run.from, row + run.to).includes(0);
    }
  }
  const out = map.data.slice();
  for (const [i, { y, from, to }] of runs.entries()) {
    const { size, around, whole } = /** @type {{size: number, around: number, whole: boolean}} */ (
      found.get(root(i))
    );
    if (whole && around >= 0 && size <= largest) out.fill(around, y * map.width + from, y * map.width + to);
  }
  return out;
}

/** What surrounds a patch: nothing known yet, or several values or the edge of the map. */
const NOTHING = -1;
const SEVERAL = -2;

/** @typedef {{y: number, from: number, to: number}} Run pixels of one value side by side */

/**
 * @param {LabelMap} map
 * @param {Run} run
 * @param {number} so what is known to lie around its patch
 * @returns {number} what is known now: a value, NOTHING or SEVERAL
 */
function surrounding({ width, height, data }, { y, from, to }, so) {
  if (so === SEVERAL || y === 0 || y === height - 1 || from === 0 || to === width) return SEVERAL;
  const own = data[y * width + from];
  const ends = [data[y * width + from - 1], data[y * width + to]];
  let around = so === NOTHING ? ends[0] : so;
  if (ends.some((value) => value !== around)) return SEVERAL;
  for (const row of [y - 1, y + 1]) {
    for (let i = row * width + from; i < row * width + to; i++) {
      if (data[i] !== own && data[i] !== around) around = SEVERAL;
    }
  }
  return around;
}

/**
 * Connected patches, by their rows (He, Chao and Suzuki 2008): runs of one value, joined where they touch.
 *
 * @param {LabelMap} map
 * @returns {{runs: Run[], parent: Int32Array}} runs of one patch have one root in `parent`
 */
function patches({ width, height, data }) {
  /** @type {Run[]} */
  const runs = [];
  const pairs = [];
  let above = 0;
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const here = runs.length;
    for (let from = 0; from < width; ) {
      let to = from + 1;
      while (to < width && data[row + to] === data[row + from]) to++;
      while (above < here && runs[above].to <= from) above++;
      for (let i = above; i < here && runs[i].from < to; i++) {
        if (data[row - width + runs[i].from] === data[row + from]) pairs.push(i, runs.length);
      }
      runs.push({ y, from, to });
      from = to;
    }
    above = here;
  }
  const parent = Int32Array.from(runs, (_, i) => i);
  for (let i = 0; i < pairs.length; i += 2) parent[find(parent, pairs[i])] = find(parent, pairs[i + 1]);
  return { runs, parent };
}

/** @param {Int32Array} parent @param {number} i @returns {number} its root; the way there becomes shorter */
function find(parent, i) {
  let at = i;
  while (parent[at] !== at) {
    parent[at] = parent[parent[at]];
    at = parent[at];
  }
  return at;
}
