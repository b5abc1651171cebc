/**
 * Label layers. The bottom one is whole; those above it have holes, through which the ones below show. What is painted
 * by the model, exported and sent is the flattened map.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {{readonly id: string, readonly name: string, readonly visible: boolean, readonly locked: boolean,
 *   readonly map: LabelMap}} Layer the descriptor is never changed, only replaced; the pixels of `map` are
 */

/** The value of a pixel where a layer has nothing. No label set has a class of this id. */
export const HOLE = 255;

/** So many layers are enough for anybody, and bound memory. */
export const MAX_LAYERS = 32;

/**
 * Flatten a rectangle of layers.
 *
 * @param {readonly Layer[]} layers bottom first; the bottom one counts even when it is hidden, since something must show
 * @param {LabelMap} into receives the class ids
 * @param {Rect} rect inside the map
 */
export function flatten(layers, into, rect) {
  const [bottom, ...above] = layers;
  const shown = above.filter(({ visible }) => visible);
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const from = y * into.width + rect.x;
    const to = from + rect.width;
    into.data.set(bottom.map.data.subarray(from, to), from);
    for (const { map } of shown) {
      for (let i = from; i < to; i++) if (map.data[i] !== HOLE) into.data[i] = map.data[i];
    }
  }
}

/**
 * One layer of two: the upper one's pixels over the lower one's.
 *
 * @param {Layer} upper
 * @param {Layer} lower
 * @returns {LabelMap} a new map; holes stay where both have them
 */
export function mergedMap(upper, lower) {
  const { width, height } = lower.map;
  const data = lower.map.data.slice();
  for (let i = 0; i < data.length; i++) if (upper.map.data[i] !== HOLE) data[i] = upper.map.data[i];
  return { width, height, data };
}
