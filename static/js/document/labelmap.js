/**
 * A label map: one class id per pixel, row by row. It is the truth; canvases only show it.
 *
 * @typedef {{width: number, height: number, data: Uint8Array}} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 */

/**
 * @param {number} width pixels, ≥ 1
 * @param {number} height pixels, ≥ 1
 * @param {number} label the class id everywhere
 * @returns {LabelMap}
 */
export function createMap(width, height, label = 0) {
  return { width, height, data: new Uint8Array(width * height).fill(label) };
}

/**
 * @param {LabelMap} map
 * @returns {Rect}
 */
export function bounds(map) {
  return { x: 0, y: 0, width: map.width, height: map.height };
}

/**
 * @param {LabelMap} map
 * @param {Rect} rect inside the map
 * @returns {Uint8Array} a copy of the rectangle's ids, row by row
 */
export function readRect(map, { x, y, width, height }) {
  const out = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const from = (y + row) * map.width + x;
    out.set(map.data.subarray(from, from + width), row * width);
  }
  return out;
}

/**
 * @param {LabelMap} map
 * @param {Rect} rect inside the map
 * @param {Uint8Array} labels rect.width × rect.height ids
 */
export function writeRect(map, { x, y, width, height }, labels) {
  for (let row = 0; row < height; row++) {
    map.data.set(labels.subarray(row * width, (row + 1) * width), (y + row) * map.width + x);
  }
}

/**
 * Nearest-neighbour resize: every id of the result stood in the source.
 *
 * @param {LabelMap} map
 * @param {number} width
 * @param {number} height
 * @returns {LabelMap}
 */
export function resizeNearest(map, width, height) {
  const out = createMap(width, height);
  for (let y = 0; y < height; y++) {
    const from = Math.floor(((y + 0.5) * map.height) / height) * map.width;
    for (let x = 0; x < width; x++) {
      out.data[y * width + x] = map.data[from + Math.floor(((x + 0.5) * map.width) / width)];
    }
  }
  return out;
}

/**
 * @param {Uint8Array} labels
 * @returns {Uint32Array} 256 pixel counts, indexed by class id
 */
export function countLabels(labels) {
  const counts = new Uint32Array(256);
  for (const label of labels) counts[label]++;
  return counts;
}
