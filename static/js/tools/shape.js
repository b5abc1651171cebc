/**
 * Line, rectangle and ellipse: drawn from where the pointer went down to where it is, anew at every move. Shift makes
 * lines of 45°, squares and circles; Alt draws from the middle.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Keys} Keys
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 * @typedef {import("../document/rect.js").Rect} Rect
 */
import { capsule, ellipse, rectangle } from "../document/raster.js";
import { PaintingTool } from "./tool.js";

/**
 * @param {Point} from
 * @param {Point} to
 * @returns {Point} as far from `from` as `to`, in the nearest of eight directions
 */
export function inEighths(from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const angle = (Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) * Math.PI) / 4;
  const length = Math.hypot(dx, dy);
  return { x: from.x + length * Math.cos(angle), y: from.y + length * Math.sin(angle) };
}

/**
 * Whole pixels from one point to another, both included.
 *
 * @param {Point} from
 * @param {Point} to
 * @param {Keys} keys
 * @returns {Rect}
 */
export function dragged(from, to, { shift, alt }) {
  let [dx, dy] = [to.x - from.x, to.y - from.y];
  if (shift) {
    const side = Math.max(Math.abs(dx), Math.abs(dy));
    [dx, dy] = [dx < 0 ? -side : side, dy < 0 ? -side : side];
  }
  const start = alt ? { x: from.x - dx, y: from.y - dy } : from;
  const end = { x: from.x + dx, y: from.y + dy };
  const x = Math.floor(Math.min(start.x, end.x));
  const y = Math.floor(Math.min(start.y, end.y));
  return {
    x,
    y,
    width: Math.floor(Math.max(start.x, end.x)) + 1 - x,
    height: Math.floor(Math.max(start.y, end.y)) + 1 - y,
  };
}

/** @implements {Tool} */
export class Shape extends PaintingTool {
  /**
   * @param {Easel} easel
   * @param {"line" | "rectangle" | "ellipse"} kind
   */
  constructor(easel, kind) {
    super(easel);
    this.kind = kind;
    /** @type {Point} */
    this.from = { x: 0, y: 0 };
    /** @type {Point} */
    this.to = this.from;
  }

  /** @param {Sample} sample @param {Keys} keys */
  down(sample, keys) {
    this.begin();
    this.from = sample;
    this.move([sample], keys);
  }

  /** @param {Sample[]} samples none when only the keys have changed @param {Keys} keys */
  move(samples, keys) {
    const { gesture } = this;
    if (!gesture?.open) return;
    this.to = samples[samples.length - 1] ?? this.to;
    gesture.restart();
    this.#draw(keys);
    gesture.flush();
  }

  /** @param {Keys} keys */
  #draw(keys) {
    const { width, height } = this.easel.document().map;
    const { from, to } = this;
    if (this.kind === "line") {
      const end = keys.shift ? inEighths(from, to) : to;
      const start = keys.alt ? { x: 2 * from.x - end.x, y: 2 * from.y - end.y } : from;
      capsule(start, end, this.easel.size(), width, height, this.span);
      return;
    }
    const fill = this.kind === "rectangle" ? rectangle : ellipse;
    fill(dragged(from, to, keys), width, height, this.span);
  }
}
