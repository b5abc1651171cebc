/**
 * Areas by their outline: freehand, or corner by corner. They show as an outline, and are filled when it is closed; where
 * it crosses itself, everything inside is filled.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Keys} Keys
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 */
import { polygon } from "../document/raster.js";
import { inEighths } from "./shape.js";
import { PaintingTool } from "./tool.js";

/** So near, in CSS pixels, a point counts as hit: the first corner, to close; the last, as a double click. */
const CLOSE = 10;
const SAME = 5;

/** @param {Point} a @param {Point} b */
function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

class Outline extends PaintingTool {
  /** @param {Easel} easel */
  constructor(easel) {
    super(easel);
    /** @type {Point[]} */
    this.points = [];
  }

  get active() {
    return this.points.length > 0;
  }

  /** Nobody should draw an outline and only then hear that it cannot be filled. */
  check() {
    this.easel.begin().cancel();
  }

  cancel() {
    this.points = [];
    this.easel.sketch(null);
    super.cancel();
  }

  fill() {
    const { points } = this;
    this.points = [];
    this.easel.sketch(null);
    const { width, height } = this.begin().map;
    polygon(points, width, height, this.span, "nonzero");
    super.up();
  }
}

/** @implements {Tool} */
export class Area extends Outline {
  /** @param {Sample} sample */
  down(sample) {
    this.check();
    this.points = [sample];
  }

  /** @param {Sample[]} samples */
  move(samples) {
    if (!this.active) return;
    this.points.push(...samples);
    this.easel.sketch({ path: this.points, closed: true });
  }

  up() {
    if (this.points.length > 2) this.fill();
    else this.cancel();
  }
}

/** @implements {Tool} */
export class Polygon extends Outline {
  /** @param {Sample} sample @param {Keys} keys */
  down(sample, keys) {
    const { points } = this;
    if (points.length === 0) this.check();
    const scale = this.easel.scale();
    const closes = points.length > 2 && distance(points[0], sample) * scale <= CLOSE;
    const again = points.length > 0 && distance(points[points.length - 1], sample) * scale <= SAME;
    if (closes || (again && points.length > 2)) {
      this.finish();
      return;
    }
    if (!again) points.push(this.#snapped(sample, points[points.length - 1], keys));
    this.#show();
  }

  /** The new corner can still be moved while the pointer is down. @param {Sample[]} samples @param {Keys} keys */
  move(samples, keys) {
    const { points } = this;
    const sample = samples[samples.length - 1];
    if (!sample || points.length === 0) return;
    points[points.length - 1] = this.#snapped(sample, points[points.length - 2], keys);
    this.#show();
  }

  up() {}

  /** @param {Point | null} point @param {Keys} keys */
  hover(point, keys) {
    if (!this.active) return;
    this.#show(point ? this.#snapped(point, this.points[this.points.length - 1], keys) : undefined);
  }

  finish() {
    if (this.points.length > 2) this.fill();
    else this.cancel();
  }

  back() {
    if (!this.active) return false;
    this.points.pop();
    if (this.active) this.#show();
    else this.cancel();
    return true;
  }

  /** @param {Point} point @param {Point | undefined} before @param {Keys} keys */
  #snapped(point, before, { shift }) {
    return shift && before ? inEighths(before, point) : point;
  }

  /** @param {Point} [next] where the next corner would be */
  #show(next) {
    const { points } = this;
    this.easel.sketch({
      path: next ? [...points, next] : points.slice(),
      closed: true,
      handles: points.slice(),
    });
  }
}
