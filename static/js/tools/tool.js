/**
 * What a tool is: a small state machine that is idle or in a gesture. A gesture starts with `down`, follows `move`, and
 * ends with `up` (keep) or `cancel` (as if it had never been). Coordinates are in label-map pixels and may lie outside.
 *
 * A gesture may outlast the pointer: what is still `active` after `up` goes on with the next `down`, ends with `finish`,
 * and takes its last part back with `back`.
 *
 * @typedef {import("../document/raster.js").Point} Point
 * @typedef {import("../document/raster.js").Span} Span
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {import("../document/document.js").Gesture} Gesture
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("../document/selection.js").SelectMode} SelectMode
 * @typedef {Point & {pressure: number}} Sample 0…1; 1 for what feels no pressure
 * @typedef {{shift: boolean, alt: boolean, mod: boolean}} Keys held down; mod is Ctrl or Command
 * @typedef {"off" | "vertical" | "horizontal" | "both"} Symmetry the axes
 * @typedef {{path?: readonly Point[], closed?: boolean, handles?: readonly Point[], shift?: Point}} Sketch what is shown over
 *   the painting while it is not yet in it: an outline, points that can be hit, how far the selection has been moved
 * @typedef {{
 *   document: () => LabelDocument,
 *   begin: (value?: number) => Gesture,
 *   blank: () => number,
 *   value: () => number,
 *   valueAt: (index: number) => number,
 *   setValue: (value: number) => void,
 *   picked: (before: number) => void,
 *   size: () => number,
 *   pressure: () => boolean,
 *   reach: () => number,
 *   symmetry: () => Symmetry,
 *   everywhere: () => boolean,
 *   selectMode: () => SelectMode,
 *   scale: () => number,
 *   select: (selection: LabelMap | null) => void,
 *   sketch: (sketch: Sketch | null) => void,
 *   refused: (error: import("../document/errors.js").DocumentError) => void,
 * }} Easel what tools work with. `begin` starts a change of whatever is painted now, labels or lights, with what is chosen
 *   or another value; `blank` is the eraser's value there, `value` the chosen one, `valueAt` the one of a pixel. `size` is
 *   the brush diameter and `reach` the steadying (see streamline.js), both in pixels of the map; `scale` tells how many CSS
 *   pixels one of those is. `picked` says that a pick is over, and what was chosen before.
 * @typedef {{
 *   readonly active: boolean,
 *   down: (sample: Sample, keys: Keys) => void,
 *   move: (samples: Sample[], keys: Keys) => void,
 *   up: () => void,
 *   cancel: () => void,
 *   hover?: (point: Point | null, keys: Keys) => void,
 *   finish?: () => void,
 *   back?: () => boolean,
 * }} Tool
 * @typedef {"brush" | "eraser" | "fill" | "pick" | "line" | "rectangle" | "ellipse" | "polygon" | "area" | "select"
 *   | "select-lasso" | "wand"} PaintingToolName
 * @typedef {PaintingToolName | "hand"} ToolName the hand moves the painting on the screen and paints nothing
 */
import { mirrored } from "./symmetry.js";

/** What every tool that changes pixels shares: the gesture, which is kept or taken back as a whole. */
export class PaintingTool {
  /** @param {Easel} easel */
  constructor(easel) {
    this.easel = easel;
    /** @type {Gesture | null} */
    this.gesture = null;
    /** Where to draw: into the gesture, and its mirror images. @type {Span} */
    this.span = () => {};
  }

  get active() {
    return this.gesture !== null;
  }

  /**
   * @param {number} [value] the chosen one if not given
   * @returns {Gesture}
   * @throws {DocumentError} when nothing can be painted there
   */
  begin(value) {
    this.gesture = this.easel.begin(value);
    const { width, height } = this.gesture.map;
    this.span = mirrored(this.gesture.span, width, height, this.easel.symmetry());
    return this.gesture;
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
