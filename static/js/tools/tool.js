/**
 * What a tool is: a small state machine that is idle or in a gesture. A gesture starts with `down`, follows `move`, and
 * ends with `up` (keep) or `cancel` (as if it had never been). Coordinates are in label-map pixels and may lie outside.
 *
 * @typedef {import("../document/raster.js").Point} Point
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {{
 *   document: () => LabelDocument,
 *   label: () => number,
 *   size: () => number,
 *   setLabel: (id: number) => void,
 *   picked: () => void,
 * }} Easel what tools work with: size is the brush diameter in pixels; `picked` says that a pick is over
 * @typedef {{
 *   readonly active: boolean,
 *   down: (point: Point) => void,
 *   move: (points: Point[]) => void,
 *   up: () => void,
 *   cancel: () => void,
 * }} Tool
 * @typedef {"brush" | "fill" | "pick"} ToolName
 */

/** What every tool that changes labels shares: the gesture, which is kept or taken back as a whole. */
export class PaintingTool {
  /** @param {Easel} easel */
  constructor(easel) {
    this.easel = easel;
    /** @type {import("../document/document.js").Gesture | null} */
    this.gesture = null;
  }

  get active() {
    return this.gesture !== null;
  }

  up() {
    this.gesture?.commit();
    this.gesture = null;
  }

  cancel() {
    this.gesture?.cancel();
    this.gesture = null;
  }
}
