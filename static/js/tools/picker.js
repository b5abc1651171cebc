/**
 * The picker: takes what is under the pointer, a label or a light; cancelling gives back what was chosen before.
 *
 * @typedef {import("./tool.js").Sample} Sample
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

  /** @param {Sample} sample */
  down(sample) {
    this.before = this.easel.value();
    this.move([sample]);
  }

  /** @param {Sample[]} samples */
  move(samples) {
    if (samples.length === 0) return;
    const { x, y } = samples[samples.length - 1];
    const { width, height } = this.easel.document().map;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    this.easel.setValue(this.easel.valueAt(row * width + column));
  }

  up() {
    const { before } = this;
    this.before = null;
    if (before !== null) this.easel.picked(before);
  }

  cancel() {
    if (this.before !== null) this.easel.setValue(this.before);
    this.before = null;
  }
}
