/**
 * The round hard brush, and the eraser, which is a brush with nothing on it: what lies below shows again.
 *
 * With Shift the stroke begins where the last one ended, in a straight line.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Keys} Keys
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 */
import { taper } from "../document/raster.js";
import { Streamline } from "./streamline.js";
import { PaintingTool } from "./tool.js";

/** @implements {Tool} */
export class Brush extends PaintingTool {
  /**
   * @param {Easel} easel
   * @param {boolean} [erases]
   */
  constructor(easel, erases = false) {
    super(easel);
    this.erases = erases;
    /** @type {Streamline | null} */
    this.stroke = null;
    /** @type {Sample} */
    this.tip = { x: 0, y: 0, pressure: 1 };
    /** Where the last stroke ended. @type {{on: import("./tool.js").LabelDocument, at: Point} | null} */
    this.last = null;
  }

  /** @param {Sample} sample @param {Keys} keys */
  down(sample, { shift }) {
    this.begin(this.erases ? this.easel.blank() : undefined);
    const before = shift ? this.#lastEnd : null;
    this.stroke = new Streamline(this.easel.reach(), sample);
    this.tip = before ? { ...sample, ...before } : sample;
    this.#draw(sample);
    this.gesture?.flush();
    this.easel.sketch(null);
  }

  /** @param {Sample[]} samples all that the pointer went through, so that no speed leaves a gap */
  move(samples) {
    const { gesture, stroke } = this;
    if (!gesture?.open || !stroke) return;
    for (const sample of samples) for (const tip of stroke.follow(sample)) this.#draw(tip);
    gesture.flush();
  }

  up() {
    // A steadied stroke lags: it ends where the hand does.
    if (this.gesture?.open && this.stroke) {
      this.#draw(this.stroke.pointer);
      this.last = { on: this.easel.document(), at: this.stroke.pointer };
    }
    super.up();
  }

  /** @param {Point | null} point @param {Keys} keys */
  hover(point, { shift }) {
    const from = shift ? this.#lastEnd : null;
    this.easel.sketch(point && from ? { path: [from, point] } : null);
  }

  /** @returns {Point | null} */
  get #lastEnd() {
    const { last } = this;
    return last?.on === this.easel.document() ? { x: last.at.x, y: last.at.y } : null;
  }

  /** @param {Sample} to */
  #draw(to) {
    const { width, height } = /** @type {import("./tool.js").Gesture} */ (this.gesture).map;
    taper(this.tip, this.#diameter(this.tip), to, this.#diameter(to), width, height, this.span);
    this.tip = to;
  }

  /** @param {Sample} sample */
  #diameter({ pressure }) {
    const size = this.easel.size();
    return this.easel.pressure() ? Math.max(1, size * pressure) : size;
  }
}
