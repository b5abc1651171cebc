/**
 * Symmetry, exact to the pixel: what is drawn is drawn again as its mirror images, row by row.
 *
 * @typedef {import("./tool.js").Span} Span
 * @typedef {import("./tool.js").Symmetry} Symmetry
 * @typedef {import("./tool.js").Point} Point
 */

/**
 * @param {Span} span
 * @param {number} width of the map
 * @param {number} height of the map
 * @param {Symmetry} symmetry a vertical axis mirrors left and right
 * @returns {Span}
 */
export function mirrored(span, width, height, symmetry) {
  if (symmetry === "off") return span;
  const across = symmetry !== "horizontal";
  const down = symmetry !== "vertical";
  return (y, x0, x1) => {
    span(y, x0, x1);
    if (across) span(y, width - x1, width - x0);
    if (down) span(height - 1 - y, x0, x1);
    if (across && down) span(height - 1 - y, width - x1, width - x0);
  };
}

/**
 * @param {Point} point
 * @param {number} width
 * @param {number} height
 * @param {Symmetry} symmetry
 * @returns {Point[]} whole pixels: the one that the point is in, and its mirror images
 */
export function mirrorImages({ x, y }, width, height, symmetry) {
  /** @type {Point[]} */
  const images = [];
  mirrored(
    (row, column) => images.push({ x: column, y: row }),
    width,
    height,
    symmetry,
  )(Math.floor(y), Math.floor(x), Math.floor(x) + 1);
  return images;
}
