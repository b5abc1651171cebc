/**
 * The picker: takes the label under the pointer; cancelling gives back the one from before.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 */

/** @implements {Tool} */
export class Picker {
  /** @param {Easel} easel */
  constructor(easel) {
    this.easel = easel;
    /** @type {number | null} */
    this.before = null;
  }

  get active() {
    return this.before !== null;
  }

  /** @param {Point} point */
  down(point) {
    this.before = this.easel.label();
    this.move([point]);
  }

  /** @param {Point[]} points */
  move(points) {
    const { x, y } = points[points.length - 1];
    const { width, height, data } = this.easel.document().map;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    this.easel.setLabel(data[row * width + column]);
  }

  up() {
    this.before = null;
    this.easel.picked();
  }

  cancel() {
    if (this.before !== null) this.easel.setLabel(this.before);
    this.before = null;
  }
}
