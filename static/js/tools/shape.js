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
import { mirrored } from "./symmetry.js";
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

/** @typedef {[number, number][]} Runs parts of a row, x0 ≤ x < x1, from left to right, apart from each other */
/** @typedef {Map<number, Runs>} Rows by y */

/** @param {(span: import("./tool.js").Span) => void} draw @returns {Rows} */
function rowsOf(draw) {
  /** @type {Rows} */
  const rows = new Map();
  draw((y, x0, x1) => {
    const runs = rows.get(y);
    if (runs) runs.push([x0, x1]);
    else rows.set(y, [[x0, x1]]);
  });
  for (const [y, runs] of rows) if (runs.length > 1) rows.set(y, joined(runs));
  return rows;
}

/** @param {Runs} runs in any order, and over one another @returns {Runs} */
function joined(runs) {
  runs.sort((a, b) => a[0] - b[0]);
  /** @type {Runs} */
  const out = [runs[0]];
  for (const [x0, x1] of runs.slice(1)) {
    const last = out[out.length - 1];
    if (x0 <= last[1]) last[1] = Math.max(last[1], x1);
    else out.push([x0, x1]);
  }
  return out;
}

/** @param {Runs} runs @param {Runs} others @returns {Runs} the parts of the first that are in none of the others */
function without(runs, others) {
  /** @type {Runs} */
  const out = [];
  for (const [x0, x1] of runs) {
    let from = x0;
    for (const [start, end] of others) {
      if (end <= from) continue;
      if (start >= x1) break;
      if (start > from) out.push([from, start]);
      from = end;
    }
    if (from < x1) out.push([from, x1]);
  }
  return out;
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
    /** What is drawn now. @type {Rows} */
    this.rows = new Map();
  }

  /** @param {Sample} sample @param {Keys} keys */
  down(sample, keys) {
    this.begin();
    this.rows = new Map();
    this.from = sample;
    this.move([sample], keys);
  }

  /** @param {Sample[]} samples none when only the keys have changed @param {Keys} keys */
  move(samples, keys) {
    const { gesture } = this;
    if (!gesture?.open) return;
    this.to = samples[samples.length - 1] ?? this.to;
    const rows = rowsOf((span) => {
      const { width, height } = gesture.map;
      this.#draw(keys, mirrored(span, width, height, this.easel.symmetry()));
    });
    // Only where the shape has changed: a large one costs no more than its border.
    for (const [y, runs] of this.rows) {
      for (const [x0, x1] of without(runs, rows.get(y) ?? [])) gesture.restore(y, x0, x1);
    }
    for (const [y, runs] of rows) {
      for (const [x0, x1] of without(runs, this.rows.get(y) ?? [])) gesture.span(y, x0, x1);
    }
    this.rows = rows;
    gesture.flush();
  }

  /** @param {Keys} keys @param {import("./tool.js").Span} span */
  #draw(keys, span) {
    const { width, height } = this.easel.document().map;
    const { from, to } = this;
    if (this.kind === "line") {
      const end = keys.shift ? inEighths(from, to) : to;
      const start = keys.alt ? { x: 2 * from.x - end.x, y: 2 * from.y - end.y } : from;
      capsule(start, end, this.easel.size(), width, height, span);
      return;
    }
    const fill = this.kind === "rectangle" ? rectangle : ellipse;
    fill(dragged(from, to, keys), width, height, span);
  }
}
