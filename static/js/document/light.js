/**
 * Lights: style codes that are mixed, named and told apart.
 *
 * @typedef {{title: string, style: string | null, code: readonly number[] | null}} NamedLight as in document.js; without
 *   style and code it is the one of a seed
 */

/**
 * @param {readonly number[]} a
 * @param {readonly number[]} b as long as `a`
 * @param {number} part 0 for a, 1 for b
 * @returns {number[]} the code between them
 */
export function mixCodes(a, b, part) {
  return a.map((value, i) => value + (b[i] - value) * part);
}

/**
 * @param {readonly number[] | null} a
 * @param {readonly number[] | null} b
 */
export function sameCode(a, b) {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/**
 * Whether two lights are one: those that have a style's name by that name, else by their codes.
 *
 * @param {Omit<NamedLight, "title">} a
 * @param {Omit<NamedLight, "title">} b
 */
export function sameLight(a, b) {
  if (a.style !== null || b.style !== null) return a.style === b.style;
  return a.code !== null && sameCode(a.code, b.code);
}

/**
 * How much of a plane of styles has which number.
 *
 * @param {Uint8Array} plane
 * @param {number} regions how many numbers there may be beside 0
 * @returns {number[]} parts of 1, by number; 0 the painting's own light
 */
export function sharesOf(plane, regions) {
  const counts = new Array(regions + 1).fill(0);
  for (const number of plane) if (number <= regions) counts[number]++;
  return counts.map((count) => count / plane.length);
}

/**
 * Colours of the marks that show where lights lie: as far apart for all kinds of colour vision as fifteen can be, in
 * light and dark by turns; their numbers stand beside them.
 *
 * @type {readonly [number, number, number][]} sRGB, 0…255, for the numbers 1 to 15
 */
export const MARK_COLORS = [
  [255, 176, 0],
  [100, 143, 255],
  [220, 38, 127],
  [0, 190, 150],
  [254, 97, 0],
  [150, 110, 250],
  [240, 228, 66],
  [0, 114, 178],
  [255, 140, 200],
  [120, 200, 60],
  [170, 60, 40],
  [86, 210, 240],
  [190, 160, 110],
  [160, 40, 180],
  [220, 220, 230],
];
