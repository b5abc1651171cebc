/**
 * Undo and redo as changed tiles. A step holds the other state of what it touched: applying it swaps the two, which
 * makes an undo step into a redo step and back. The oldest steps are dropped when the byte budget is spent.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {{rect: Rect, labels: Uint8Array}} Tile
 * @typedef {{seed: number, style: string | null}} Light
 * @typedef {{tiles: Tile[], light?: Light}} Step
 */
import { readRect, writeRect } from "./labelmap.js";
import { union } from "./rect.js";

export const TILE = 32;

/** What a step weighs beside its pixels: rectangles, headers, the object itself. */
const OVERHEAD = 96;

/** A change in the making: it keeps each tile as it was before the first pixel in it changed. */
export class Transaction {
  /** @param {LabelMap} map */
  constructor(map) {
    this.map = map;
    this.columns = Math.ceil(map.width / TILE);
    /** @type {Map<number, Tile>} */
    this.before = new Map();
  }

  /**
   * Keep what stands in row y, columns x0 ≤ x < x1; to be called before writing there.
   *
   * @param {number} y
   * @param {number} x0
   * @param {number} x1
   */
  keep(y, x0, x1) {
    const row = Math.floor(y / TILE);
    for (let column = Math.floor(x0 / TILE); column * TILE < x1; column++) {
      const index = row * this.columns + column;
      if (this.before.has(index)) continue;
      const rect = this.#tileRect(column, row);
      this.before.set(index, { rect, labels: readRect(this.map, rect) });
    }
  }

  /** @returns {Tile[]} the tiles that really differ now, as they were */
  changedTiles() {
    return [...this.before.values()].filter(({ rect, labels }) => {
      const now = readRect(this.map, rect);
      return labels.some((label, i) => label !== now[i]);
    });
  }

  /**
   * Put everything back.
   *
   * @returns {Rect | null} what was touched
   */
  rollBack() {
    /** @type {Rect | null} */
    let dirty = null;
    for (const { rect, labels } of this.changedTiles()) {
      writeRect(this.map, rect, labels);
      dirty = union(dirty, rect);
    }
    this.before.clear();
    return dirty;
  }

  /**
   * @param {number} column
   * @param {number} row
   * @returns {Rect}
   */
  #tileRect(column, row) {
    const x = column * TILE;
    const y = row * TILE;
    return {
      x,
      y,
      width: Math.min(TILE, this.map.width - x),
      height: Math.min(TILE, this.map.height - y),
    };
  }
}

/**
 * @param {Step} step
 * @returns {number} bytes
 */
export function stepBytes(step) {
  return step.tiles.reduce((sum, tile) => sum + tile.labels.length + OVERHEAD, OVERHEAD);
}

export class History {
  /** @param {number} budget bytes for all steps together */
  constructor(budget) {
    this.budget = budget;
    this.bytes = 0;
    /** @type {Step[]} */
    this.done = [];
    /** @type {Step[]} */
    this.undone = [];
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  /** @param {Step} step what was, for everything that changed */
  push(step) {
    for (const gone of this.undone) this.bytes -= stepBytes(gone);
    this.undone = [];
    this.done.push(step);
    this.bytes += stepBytes(step);
    while (this.bytes > this.budget && this.done.length > 0) {
      this.bytes -= stepBytes(/** @type {Step} */ (this.done.shift()));
    }
  }

  /**
   * @param {(step: Step) => Step} swap applies the step and returns its opposite, which weighs the same
   * @returns {boolean} whether there was anything to undo
   */
  undo(swap) {
    const step = this.done.pop();
    if (!step) return false;
    this.undone.push(swap(step));
    return true;
  }

  /**
   * @param {(step: Step) => Step} swap
   * @returns {boolean} whether there was anything to redo
   */
  redo(swap) {
    const step = this.undone.pop();
    if (!step) return false;
    this.done.push(swap(step));
    return true;
  }
}
