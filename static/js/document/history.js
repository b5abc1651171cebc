/**
 * Undo and redo as changed tiles. A step holds the other state of what it touched: applying it swaps the two, which
 * makes an undo step into a redo step and back. Tiles are kept as runs, of which flat areas have few; the oldest steps
 * are dropped when the byte budget is spent.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {{map: LabelMap, rect: Rect, labels: Uint8Array}} Tile `labels` is packed: see `pack`
 * @typedef {{seed: number, style: string | null, code: readonly number[] | null}} Light see document.js
 * @typedef {{title: string, style: string | null, code: readonly number[]}} Region
 * @typedef {{layers: readonly Layer[], active: string, regions: readonly Region[]}} Structure
 * @typedef {{tiles: Tile[], light?: Light, structure?: Structure, weight?: number}} Step
 *   `weight`: bytes of layers that only this step keeps alive
 */
import { readRect, writeRect } from "./labelmap.js";
import { union } from "./rect.js";

export const TILE = 32;

/** What a step weighs beside its pixels: rectangles, headers, the object itself. */
const OVERHEAD = 96;

/**
 * Pixels as pairs of value and run length − 1, where that is shorter.
 *
 * @param {Uint8Array} labels
 * @returns {Uint8Array} shorter than `labels` when packed, else a copy
 */
export function pack(labels) {
  const runs = new Uint8Array(labels.length);
  let at = 0;
  for (let from = 0; from < labels.length; ) {
    let to = from + 1;
    while (to < labels.length && labels[to] === labels[from] && to - from < 256) to++;
    if (at + 2 >= labels.length) return labels.slice();
    runs[at++] = labels[from];
    runs[at++] = to - from - 1;
    from = to;
  }
  return runs.slice(0, at);
}

/**
 * @param {Uint8Array} packed
 * @param {number} length of the pixels
 * @returns {Uint8Array}
 */
export function unpack(packed, length) {
  if (packed.length === length) return packed;
  const labels = new Uint8Array(length);
  for (let i = 0, at = 0; i < packed.length; i += 2) {
    labels.fill(packed[i], at, at + packed[i + 1] + 1);
    at += packed[i + 1] + 1;
  }
  return labels;
}

/**
 * @param {Tile} tile
 * @returns {Tile} the same place as it is now, after the tile's own pixels have been put there
 */
export function swapTile({ map, rect, labels }) {
  const now = { map, rect, labels: pack(readRect(map, rect)) };
  writeRect(map, rect, unpack(labels, rect.width * rect.height));
  return now;
}

/** Whether these very pixels stand there. @param {LabelMap} map @param {Rect} rect @param {Uint8Array} labels */
function holds({ width, data }, rect, labels) {
  let i = 0;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const end = y * width + rect.x + rect.width;
    for (let at = end - rect.width; at < end; at++) if (data[at] !== labels[i++]) return false;
  }
  return true;
}

/** A change of one map in the making: it keeps each tile as it was before the first pixel in it changed. */
export class Transaction {
  /** @param {LabelMap} map */
  constructor(map) {
    this.map = map;
    this.columns = Math.ceil(map.width / TILE);
    /** @type {Map<number, {rect: Rect, labels: Uint8Array}>} not packed: a gesture is short */
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
    return this.#changed().map(({ rect, labels }) => ({ map: this.map, rect, labels: pack(labels) }));
  }

  /**
   * Put everything back.
   *
   * @returns {Rect | null} what was touched
   */
  rollBack() {
    /** @type {Rect | null} */
    let dirty = null;
    for (const [index, { rect, labels }] of this.before) {
      // What is drawn anew will mostly be where it was: those tiles are kept.
      if (holds(this.map, rect, labels)) {
        this.before.delete(index);
        continue;
      }
      writeRect(this.map, rect, labels);
      dirty = union(dirty, rect);
    }
    return dirty;
  }

  /**
   * Put a part of a row back.
   *
   * @param {number} y
   * @param {number} x0
   * @param {number} x1
   */
  restore(y, x0, x1) {
    const row = Math.floor(y / TILE);
    for (let column = Math.floor(x0 / TILE); column * TILE < x1; column++) {
      const kept = this.before.get(row * this.columns + column);
      if (!kept) continue;
      const { rect, labels } = kept;
      const [from, to] = [Math.max(x0, rect.x), Math.min(x1, rect.x + rect.width)];
      const start = (y - rect.y) * rect.width - rect.x;
      this.map.data.set(labels.subarray(start + from, start + to), y * this.map.width + from);
    }
  }

  #changed() {
    return [...this.before.values()].filter(({ rect, labels }) => !holds(this.map, rect, labels));
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
  return step.tiles.reduce((sum, tile) => sum + tile.labels.length + OVERHEAD, OVERHEAD + (step.weight ?? 0));
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
    this.#trim();
  }

  /**
   * @param {(step: Step) => Step} swap applies the step and returns its opposite
   * @returns {Step | null} the opposite of what was undone
   */
  undo(swap) {
    return this.#move(this.done, this.undone, swap);
  }

  /**
   * @param {(step: Step) => Step} swap
   * @returns {Step | null} the opposite of what was redone
   */
  redo(swap) {
    return this.#move(this.undone, this.done, swap);
  }

  /**
   * @param {Step[]} from
   * @param {Step[]} to
   * @param {(step: Step) => Step} swap
   * @returns {Step | null}
   */
  #move(from, to, swap) {
    const step = from.pop();
    if (!step) return null;
    this.bytes -= stepBytes(step);
    const opposite = swap(step);
    this.bytes += stepBytes(opposite);
    to.push(opposite);
    this.#trim();
    return opposite;
  }

  /** Packed pixels weigh more or less than those that they are swapped with: the oldest give way. */
  #trim() {
    while (this.bytes > this.budget && this.done.length > 0) {
      this.bytes -= stepBytes(/** @type {Step} */ (this.done.shift()));
    }
  }
}
