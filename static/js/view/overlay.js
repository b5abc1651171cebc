/**
 * What lies over the painting without being in it: the border of the selection, outlines of shapes in the making, the axes
 * of symmetry. Drawn in CSS pixels of the pane, so that lines stay thin at any zoom.
 *
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("./viewport.js").Transform} Transform
 * @typedef {{x: number, y: number}} Point
 * @typedef {{path?: readonly Point[], closed?: boolean, handles?: readonly Point[], shift?: Point}} Sketch in pixels of the
 *   painting; `shift`: how far the selection has been moved
 * @typedef {{width: number, height: number, selection: LabelMap | null, sketch: Sketch | null,
 *   symmetry: "off" | "vertical" | "horizontal" | "both"}} Shown width and height of the painting
 */
import { outline } from "../document/selection.js";

/** Pieces of border up to which it moves; a larger one stands still, so that it costs nothing. */
const MOST_MOVING = 4_000;
/** CSS pixels of one black and one white stripe, and milliseconds of one step along them. */
const STRIPES = 8;
const STEP = 90;
const AXIS = "#ffb067";

export class Overlay {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(task: () => void) => () => void} schedule makes a task run once per animation frame
   */
  constructor(canvas, schedule) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {Transform} */
    this.transform = { scale: 1, x: 0, y: 0 };
    this.density = 1;
    /** @type {Shown} */
    this.shown = { width: 1, height: 1, selection: null, sketch: null, symmetry: "off" };
    /** @type {Int16Array} */
    this.border = new Int16Array(0);
    this.stripes = this.context.createPattern(stripes(), "repeat");
    this.phase = 0;
    this.empty = true;
    this.ask = schedule(() => this.#draw());
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  /**
   * @param {{width: number, height: number}} size of the pane in CSS pixels
   * @param {number} density device pixels per CSS pixel
   * @param {Transform} transform
   */
  place({ width, height }, density, transform) {
    const [across, down] = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== across) this.canvas.width = across;
    if (this.canvas.height !== down) this.canvas.height = down;
    this.density = density;
    this.transform = transform;
    this.empty = false;
    this.ask();
  }

  /** @param {Shown} shown */
  show(shown) {
    if (shown.selection !== this.shown.selection) {
      this.border = shown.selection ? outline(shown.selection) : new Int16Array(0);
    }
    this.shown = shown;
    this.#march();
    this.ask();
  }

  /** The border moves, so that it is seen on any ground; not for those who asked for less motion. */
  #march() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const moves = this.border.length > 0 && this.border.length / 4 <= MOST_MOVING && !still;
    if (moves === (this.timer !== undefined)) return;
    clearInterval(this.timer);
    this.timer = moves
      ? setInterval(() => {
          this.phase = (this.phase + 1) % STRIPES;
          this.ask();
        }, STEP)
      : undefined;
  }

  #draw() {
    const { context, canvas, density, shown } = this;
    const nothing = this.border.length === 0 && !shown.sketch && shown.symmetry === "off";
    if (nothing && this.empty) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(density, 0, 0, density, 0, 0);
    this.empty = nothing;
    this.#axes();
    this.#selection();
    this.#sketch();
  }

  #axes() {
    const { context, shown } = this;
    const { x: left, y: top } = this.#at({ x: 0, y: 0 });
    const { x: right, y: bottom } = this.#at({ x: shown.width, y: shown.height });
    context.setLineDash([6, 5]);
    context.beginPath();
    if (shown.symmetry === "vertical" || shown.symmetry === "both") {
      context.moveTo((left + right) / 2, top);
      context.lineTo((left + right) / 2, bottom);
    }
    if (shown.symmetry === "horizontal" || shown.symmetry === "both") {
      context.moveTo(left, (top + bottom) / 2);
      context.lineTo(right, (top + bottom) / 2);
    }
    this.#stroke("rgb(0 0 0 / 55%)", 3);
    this.#stroke(AXIS, 1.25);
    context.setLineDash([]);
  }

  #selection() {
    const { context, border, stripes: pattern } = this;
    if (border.length === 0 || !pattern) return;
    const { x: dx, y: dy } = this.shown.sketch?.shift ?? { x: 0, y: 0 };
    context.beginPath();
    for (let i = 0; i < border.length; i += 4) {
      const from = this.#at({ x: border[i] + dx, y: border[i + 1] + dy });
      const to = this.#at({ x: border[i + 2] + dx, y: border[i + 3] + dy });
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
    }
    pattern.setTransform(new DOMMatrix().translate(this.phase, 0));
    this.#stroke(pattern, 1.5);
  }

  #sketch() {
    const { context } = this;
    const { path = [], closed, handles = [] } = this.shown.sketch ?? {};
    if (path.length > 1) {
      context.beginPath();
      for (const [i, point] of path.entries()) {
        const { x, y } = this.#at(point);
        if (i === 0) context.moveTo(x, y);
        else context.lineTo(x, y);
      }
      if (closed) context.closePath();
      this.#stroke("rgb(0 0 0 / 70%)", 3);
      this.#stroke("#fff", 1.25);
    }
    for (const [i, point] of handles.entries()) {
      const { x, y } = this.#at(point);
      context.beginPath();
      // The first is where the outline is closed: larger.
      context.arc(x, y, i === 0 ? 5.5 : 3.5, 0, 2 * Math.PI);
      context.fillStyle = i === 0 ? AXIS : "#fff";
      context.fill();
      this.#stroke("rgb(0 0 0 / 75%)", 1.5);
    }
  }

  /** @param {Point} point @returns {Point} */
  #at({ x, y }) {
    const { transform } = this;
    return { x: transform.x + x * transform.scale, y: transform.y + y * transform.scale };
  }

  /** @param {string | CanvasPattern} style @param {number} width */
  #stroke(style, width) {
    this.context.strokeStyle = style;
    this.context.lineWidth = width;
    this.context.stroke();
  }
}

/** Diagonal stripes, which run along a line whatever its direction. */
function stripes() {
  const canvas = document.createElement("canvas");
  canvas.width = STRIPES;
  canvas.height = STRIPES;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  for (let y = 0; y < STRIPES; y++) {
    for (let x = 0; x < STRIPES; x++) {
      context.fillStyle = (x + y) % STRIPES < STRIPES / 2 ? "#000" : "#fff";
      context.fillRect(x, y, 1, 1);
    }
  }
  return canvas;
}
