/**
 * Selecting: a rectangle, freehand, or what has one label and is connected. Shift adds, Alt takes away, both keep what is
 * in both. Dragging what is selected moves it; with Ctrl a copy.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Keys} Keys
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 * @typedef {import("./tool.js").SelectMode} SelectMode
 * @typedef {import("./tool.js").LabelMap} LabelMap
 * @typedef {import("./mover.js").Mover} Mover
 */
import { allOf, flood, polygon, rectangle } from "../document/raster.js";
import { combine, drawnMask, holds } from "../document/selection.js";
import { dragged } from "./shape.js";

/** A pointer that goes less far, in CSS pixels, has clicked. */
const CLICK = 4;
const NO_KEYS = { shift: false, alt: false, mod: false };

/** @typedef {"rectangle" | "lasso" | "wand"} Kind */

/** @implements {Tool} */
export class Select {
  /**
   * @param {Easel} easel
   * @param {Mover} mover
   * @param {Kind} kind
   */
  constructor(easel, mover, kind) {
    this.easel = easel;
    this.mover = mover;
    this.kind = kind;
    /** @type {"idle" | "drawing" | "moving"} */
    this.doing = "idle";
    /** @type {SelectMode} */
    this.mode = "new";
    /** @type {Point[]} */
    this.points = [];
    /** Whether the pointer has gone farther than a click does. */
    this.far = false;
    this.copies = false;
    /** Where a piece that floats was when the pointer went down on it. @type {Point | null} */
    this.origin = null;
  }

  get active() {
    return this.doing !== "idle";
  }

  /** @param {Sample} sample @param {Keys} keys */
  down(sample, keys) {
    this.mode = modeOf(keys) ?? this.easel.selectMode();
    this.points = [sample];
    this.far = false;
    this.copies = keys.mod;
    const { selection } = this.easel.document();
    const on = this.mover.active ? this.mover.holds(sample) : selection !== null && holds(selection, sample);
    if (on && this.mode === "new") {
      this.doing = "moving";
      this.origin = this.mover.active ? { ...this.mover.shift } : null;
      return;
    }
    this.mover.drop();
    this.doing = "drawing";
  }

  /** @param {Sample[]} samples */
  move(samples) {
    const { points, easel } = this;
    if (!this.active || samples.length === 0) return;
    points.push(...samples);
    const [first, last] = [points[0], points[points.length - 1]];
    this.far ||= Math.hypot(last.x - first.x, last.y - first.y) * easel.scale() >= CLICK;
    if (!this.far) return;
    if (this.doing === "moving") this.#drag(first, last);
    else if (this.kind !== "wand") easel.sketch({ path: this.#path(), closed: true });
  }

  up() {
    const { doing } = this;
    this.doing = "idle";
    if (doing === "moving" && this.far) {
      this.mover.drop();
      return;
    }
    this.mover.drop();
    this.easel.sketch(null);
    const { selection } = this.easel.document();
    const shape = this.#shape();
    if (shape) this.easel.select(combine(selection, shape, this.mode));
    else if (this.mode === "new") this.easel.select(null);
  }

  cancel() {
    const { doing } = this;
    this.doing = "idle";
    if (doing === "moving") {
      if (this.origin) this.mover.to(this.origin.x, this.origin.y);
      else this.mover.cancel();
      return;
    }
    this.easel.sketch(null);
  }

  /** @param {Point} first @param {Point} last */
  #drag(first, last) {
    if (!this.mover.active && !this.mover.lift(this.copies)) return;
    const { x, y } = this.origin ?? { x: 0, y: 0 };
    this.mover.to(x + Math.round(last.x - first.x), y + Math.round(last.y - first.y));
  }

  /** @returns {Point[]} */
  #path() {
    if (this.kind === "lasso") return this.points;
    const { x, y, width, height } = dragged(this.points[0], this.points[this.points.length - 1], NO_KEYS);
    return [
      { x, y },
      { x: x + width, y },
      { x: x + width, y: y + height },
      { x, y: y + height },
    ];
  }

  /** @returns {LabelMap | null} null when it was only a click */
  #shape() {
    const { map } = this.easel.document();
    const { width, height } = map;
    if (this.kind === "wand") {
      const [{ x, y }] = this.points;
      const reach = this.easel.everywhere() ? allOf : flood;
      return drawnMask(width, height, (span) => reach(map, Math.floor(x), Math.floor(y), span));
    }
    if (!this.far) return null;
    return drawnMask(width, height, (span) => {
      if (this.kind === "lasso") polygon(this.points, width, height, span, "nonzero");
      else
        rectangle(dragged(this.points[0], this.points[this.points.length - 1], NO_KEYS), width, height, span);
    });
  }
}

/** @param {Keys} keys @returns {SelectMode | null} */
function modeOf({ shift, alt }) {
  if (shift && alt) return "intersect";
  if (shift) return "add";
  return alt ? "subtract" : null;
}
