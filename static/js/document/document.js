/**
 * A painting: a label map with the set its ids belong to, its light (a seed and, if one was chosen, the name of a
 * style), and its history. It knows neither canvas nor network; whoever wants to follow it listens.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./history.js").Step} Step
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {import("./history.js").Light} Light
 * @typedef {{rect: Rect | null, light: boolean, settled: boolean}} Change
 *   `rect`: the labels that changed; `light`: seed or style did; `settled`: false while a gesture is still under way.
 * @typedef {{id: string, title: string, map: LabelMap, labelSet: LabelSet, seed: number, style?: string | null,
 *   touched?: boolean}} Painting `style`: the id of a style that models may offer; null for the seed's own light
 */
import { History, Transaction } from "./history.js";
import { readRect, writeRect } from "./labelmap.js";
import { union } from "./rect.js";

export const HISTORY_BYTES = 64 * 1024 * 1024;

/** One change under way; ends with exactly one commit or cancel. */
export class Gesture {
  /**
   * @param {LabelDocument} document
   * @param {number} label
   */
  constructor(document, label) {
    this.document = document;
    this.label = label;
    this.transaction = new Transaction(document.map);
    /** @type {Rect | null} */
    this.dirty = null;
    this.open = true;
  }

  /** A span writer for the rasteriser. @type {import("./raster.js").Span} */
  span = (y, x0, x1) => {
    const { map } = this.document;
    this.transaction.keep(y, x0, x1);
    map.data.fill(this.label, y * map.width + x0, y * map.width + x1);
    this.dirty = union(this.dirty, { x: x0, y, width: x1 - x0, height: 1 });
  };

  /** Tell listeners about the spans written since the last time. */
  flush() {
    const rect = this.dirty;
    this.dirty = null;
    if (rect) this.document.emit({ rect, light: false, settled: false });
  }

  /** @returns {boolean} whether anything changed */
  commit() {
    if (!this.#close()) return false;
    this.flush();
    const tiles = this.transaction.changedTiles();
    if (tiles.length === 0) return false;
    this.document.history.push({ tiles });
    this.document.settle();
    return true;
  }

  /** Restore every pixel. */
  cancel() {
    if (!this.#close()) return;
    const rect = union(this.dirty, this.transaction.rollBack());
    this.dirty = null;
    if (rect) this.document.emit({ rect, light: false, settled: false });
  }

  #close() {
    const was = this.open;
    this.open = false;
    if (was) this.document.gesture = null;
    return was;
  }
}

export class LabelDocument {
  /** @param {Painting} painting */
  constructor({ id, title, map, labelSet, seed, style = null, touched = false }) {
    this.id = id;
    this.title = title;
    this.map = map;
    this.labelSet = labelSet;
    this.seed = seed;
    this.style = style;
    /** Whether a hand has changed it since it was made. */
    this.touched = touched;
    /** Counts changes of any kind. */
    this.revision = 0;
    this.history = new History(HISTORY_BYTES);
    /** @type {Gesture | null} */
    this.gesture = null;
    /** @type {Set<(change: Change) => void>} */
    this.listeners = new Set();
  }

  /**
   * @param {(change: Change) => void} listener
   * @returns {() => void} stops listening
   */
  listen(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** @param {Change} change */
  emit(change) {
    this.revision++;
    for (const listener of this.listeners) listener(change);
  }

  /** Say that a change is complete and worth keeping. */
  settle() {
    this.touched = true;
    this.emit({ rect: null, light: false, settled: true });
  }

  /**
   * Start a change in one label; an open gesture is cancelled first.
   *
   * @param {number} label
   * @returns {Gesture}
   */
  begin(label) {
    this.gesture?.cancel();
    this.gesture = new Gesture(this, label);
    return this.gesture;
  }

  /** @returns {Light} */
  get light() {
    return { seed: this.seed, style: this.style };
  }

  /**
   * Another seed, in a light of its own.
   *
   * @param {number} seed
   */
  setSeed(seed) {
    this.#relight({ seed, style: null });
  }

  /**
   * A style, with the seed's noise; null goes back to the seed's own light.
   *
   * @param {string | null} style
   */
  setStyle(style) {
    this.#relight({ seed: this.seed, style });
  }

  /** One undoable step. @param {Light} light */
  #relight({ seed, style }) {
    if (seed === this.seed && style === this.style) return;
    this.history.push({ tiles: [], light: this.light });
    this.touched = true;
    this.seed = seed;
    this.style = style;
    this.emit({ rect: null, light: true, settled: true });
  }

  /** Cancels an open gesture, or else takes back the last step. @returns {boolean} whether anything happened */
  undo() {
    if (this.gesture) {
      this.gesture.cancel();
      return true;
    }
    return this.history.undo((step) => this.#swap(step));
  }

  /** @returns {boolean} whether anything happened */
  redo() {
    if (this.gesture) return false;
    return this.history.redo((step) => this.#swap(step));
  }

  /**
   * @param {Step} step
   * @returns {Step} its opposite
   */
  #swap(step) {
    /** @type {Rect | null} */
    let rect = null;
    const tiles = step.tiles.map((tile) => {
      const labels = readRect(this.map, tile.rect);
      writeRect(this.map, tile.rect, tile.labels);
      rect = union(rect, tile.rect);
      return { rect: tile.rect, labels };
    });
    /** @type {Step} */
    const opposite = { tiles };
    if (step.light) {
      opposite.light = this.light;
      this.seed = step.light.seed;
      this.style = step.light.style;
    }
    this.touched = true;
    this.emit({ rect, light: step.light !== undefined, settled: true });
    return opposite;
  }
}
