/**
 * A painting: label layers with the set that their ids belong to, its light, and its history. It knows neither canvas
 * nor network; whoever wants to follow it listens.
 *
 * It has up to three planes of whole pixels, all of one size. *labels*: the layers, flattened into `map`. *styles*: at
 * each pixel the number of the light that falls there, 0 the painting's own, k the k-th of `regions`. *edits*, only
 * where a photo lies under it: 1 where the photo is to be painted anew even though its label is the photo's own.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {import("./history.js").Step} Step
 * @typedef {import("./history.js").Tile} Tile
 * @typedef {import("./history.js").Light} Light seed: of noise, and of the light while neither of the others is there;
 *   style: the id of a style that models may offer; code: a style code of the painting's own
 * @typedef {import("./history.js").Region} Region a light for a part of the picture; `style` where it is a named one
 * @typedef {import("./rect.js").Rect} Rect
 * @typedef {"labels" | "styles" | "edits"} PlaneName
 * @typedef {{rect: Rect | null, plane: PlaneName, light: boolean, structure: boolean, settled: boolean}} Change
 *   `rect`: what changed of `plane` (of labels: of the flattened map); `light`: seed, style, code or the codes of
 *   regions did; `structure`: the list of layers or regions did; `settled`: false while a gesture is still under way
 * @typedef {{blob: Blob, width: number, height: number, map: LabelMap}} Source the photo that a painting began with, in
 *   its own size, and what a segmenter saw in it, in the painting's
 * @typedef {{id: string, title: string, map: LabelMap, labelSet: LabelSet, seed: number, style?: string | null,
 *   code?: readonly number[] | null, layers?: readonly Layer[], active?: string, regions?: readonly Region[],
 *   styles?: LabelMap | null, edits?: LabelMap | null, source?: Source | null, touched?: boolean}} Painting `map` is the
 *   only layer where `layers` are not given, and is ignored where they are
 */
import { DocumentError } from "./errors.js";
import { History, swapTile, Transaction } from "./history.js";
import { bounds, createMap } from "./labelmap.js";
import { idOfMeaning } from "./labelset.js";
import { flatten, HOLE, MAX_LAYERS, mergedMap } from "./layers.js";
import { sameCode } from "./light.js";
import { Rects } from "./rects.js";

export const HISTORY_BYTES = 64 * 1024 * 1024;
export const MAX_REGIONS = 15;

/**
 * One change of pixels under way; ends with exactly one commit or cancel.
 *
 * @typedef {{plane: PlaneName, map: LabelMap, value: number | Uint8Array}} Target where spans go: the map of a layer, or
 *   a plane, and what it is filled with, the same everywhere or from an array of the map's size
 */
export class Gesture {
  /**
   * @param {LabelDocument} document
   * @param {Target} target
   * @param {Target[]} [others] that the same spans fill
   */
  constructor(document, target, others = []) {
    this.document = document;
    this.plane = target.plane;
    this.map = target.map;
    this.value = target.value;
    this.transaction = new Transaction(target.map);
    this.others = others.map((other) => ({ ...other, transaction: new Transaction(other.map) }));
    this.dirty = new Rects();
    this.open = true;
  }

  /** A span writer for the rasteriser; it keeps to the selection. @type {import("./raster.js").Span} */
  span = (y, x0, x1) => {
    const { selection } = this.document;
    if (!selection) {
      this.#fill(y, x0, x1);
      return;
    }
    const row = y * this.map.width;
    for (let from = x0; from < x1; ) {
      while (from < x1 && !selection.data[row + from]) from++;
      let to = from;
      while (to < x1 && selection.data[row + to]) to++;
      if (from < to) this.#fill(y, from, to);
      from = to;
    }
  };

  /**
   * Write pixels of any values, whatever is selected.
   *
   * @param {Rect} rect inside the map
   * @param {Uint8Array} values rect.width × rect.height
   * @param {Uint8Array} [mask] as many; where it is 0 nothing is written
   */
  put(rect, values, mask) {
    const { data, width } = this.map;
    for (let row = 0; row < rect.height; row++) {
      const y = rect.y + row;
      this.transaction.keep(y, rect.x, rect.x + rect.width);
      const to = y * width + rect.x;
      const from = row * rect.width;
      if (!mask) data.set(values.subarray(from, from + rect.width), to);
      else for (let i = 0; i < rect.width; i++) if (mask[from + i]) data[to + i] = values[from + i];
    }
    if (rect.width > 0 && rect.height > 0) this.dirty.add(rect);
  }

  /** Restore a part of a row. @type {import("./raster.js").Span} */
  restore = (y, x0, x1) => {
    for (const { transaction } of this.#writes) transaction.restore(y, x0, x1);
    this.dirty.add({ x: x0, y, width: x1 - x0, height: 1 });
  };

  /** Tell listeners about what was written since the last time. */
  flush() {
    const planes = new Set([this.plane, ...this.others.map(({ plane }) => plane)]);
    for (const rect of this.dirty.take()) for (const plane of planes) this.document.showChange(plane, rect);
  }

  /** @returns {boolean} whether anything changed */
  commit() {
    if (!this.#close()) return false;
    this.flush();
    const tiles = this.#writes.flatMap(({ transaction }) => transaction.changedTiles());
    if (tiles.length === 0) return false;
    this.document.history.push({ tiles });
    this.document.countVersions(tiles);
    this.document.settle();
    return true;
  }

  /** Restore every pixel. */
  cancel() {
    if (!this.#close()) return;
    this.dirty.take();
    for (const { transaction } of this.#writes) {
      const rect = transaction.rollBack();
      if (rect) this.dirty.add(rect);
    }
    this.flush();
  }

  /**
   * @param {number} y
   * @param {number} x0
   * @param {number} x1
   */
  #fill(y, x0, x1) {
    const from = y * this.map.width + x0;
    const to = y * this.map.width + x1;
    for (const { transaction, map, value } of this.#writes) {
      transaction.keep(y, x0, x1);
      if (typeof value === "number") map.data.fill(value, from, to);
      else map.data.set(value.subarray(from, to), from);
    }
    this.dirty.add({ x: x0, y, width: x1 - x0, height: 1 });
  }

  /** @returns {(Target & {transaction: Transaction})[]} */
  get #writes() {
    return [this, ...this.others];
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
  constructor(painting) {
    const { id, title, map, labelSet, seed, style = null, code = null } = painting;
    this.id = id;
    this.title = title;
    this.labelSet = labelSet;
    this.seed = seed;
    this.style = style;
    this.code = code;
    /** Bottom first. @type {readonly Layer[]} */
    this.layers = painting.layers ?? [{ id: "base", name: "", visible: true, locked: false, map }];
    /** The id of the layer that is painted on. */
    this.active = painting.active ?? this.layers[this.layers.length - 1].id;
    const { width, height } = this.layers[0].map;
    /** The flattened labels: what is rendered, shown and exported. */
    this.map = createMap(width, height);
    flatten(this.layers, this.map, bounds(this.map));
    /** @type {readonly Region[]} */
    this.regions = painting.regions ?? [];
    this.styles = painting.styles ?? createMap(width, height);
    /** @type {Source | null} */
    this.source = painting.source ?? null;
    /** @type {LabelMap | null} */
    this.edits = this.source ? (painting.edits ?? createMap(width, height)) : null;
    /** What was there before lights were tried. @type {{light: Light, structure: import("./history.js").Structure} | null} */
    this.tried = null;
    /** What gestures keep to: a plane of 0 and 1, or null for everything. Not a part of the history. @type {LabelMap | null} */
    this.selection = null;
    /** Whether a hand has changed it since it was made. */
    this.touched = painting.touched ?? false;
    /** Counts changes of any kind. */
    this.revision = 0;
    this.history = new History(HISTORY_BYTES);
    /** @type {Gesture | null} */
    this.gesture = null;
    /** @type {WeakMap<LabelMap, number>} */
    this.versions = new WeakMap();
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

  /** @param {Partial<Change>} change */
  emit(change) {
    const whole = {
      rect: null,
      plane: /** @type {const} */ ("labels"),
      light: false,
      structure: false,
      settled: false,
    };
    this.revision++;
    for (const listener of this.listeners) listener({ ...whole, ...change });
  }

  /** How many complete changes a layer's map or a plane has had: whoever keeps them needs to know. @param {LabelMap} map */
  versionOf(map) {
    return this.versions.get(map) ?? 0;
  }

  /** @param {readonly Tile[]} tiles that have changed */
  countVersions(tiles) {
    for (const map of new Set(tiles.map((tile) => tile.map))) this.versions.set(map, this.versionOf(map) + 1);
  }

  /** Say that a change is complete and worth keeping. */
  settle() {
    this.touched = true;
    this.emit({ settled: true });
  }

  // Pixels

  /** @returns {Layer} the one that is painted on */
  get layer() {
    return this.layers.find(({ id }) => id === this.active) ?? this.layers[0];
  }

  /** What an eraser leaves: what lies below shows again; at the bottom it is sky. @param {PlaneName} [plane] */
  blank(plane = "labels") {
    if (plane !== "labels") return 0;
    return this.layer === this.layers[0] ? idOfMeaning(this.labelSet, { name: "sky" }) : HOLE;
  }

  /** @returns {DocumentError | null} why the active layer cannot be painted on */
  get refusal() {
    const { locked, visible } = this.layer;
    const name = this.layer.name || "Background";
    if (locked) {
      return new DocumentError(
        "The layer is locked.",
        "“{name}” keeps its labels.",
        "Unlock it, or choose another.",
        { name },
      );
    }
    if (!visible) {
      return new DocumentError(
        "The layer is hidden.",
        "Nobody would see what is painted on “{name}”.",
        "Show it, or choose another.",
        { name },
      );
    }
    return null;
  }

  /**
   * Start a change; an open gesture is cancelled first.
   *
   * @param {number} value a class id or HOLE; a style number; 0 or 1
   * @param {PlaneName} [plane]
   * @returns {Gesture}
   * @throws {DocumentError} when the active layer is locked or hidden
   */
  begin(value, plane = "labels") {
    this.gesture?.cancel();
    this.keepLights();
    if (plane === "labels" && this.refusal) throw this.refusal;
    const map = { labels: this.layer.map, styles: this.styles, edits: this.edits }[plane];
    if (!map) throw noPhoto();
    this.gesture = new Gesture(this, { plane, map, value });
    return this.gesture;
  }

  /**
   * Start a change that brings the photo back: the labels that were seen in it, in every layer that shows and is not
   * locked, and no wish to paint it anew.
   *
   * @returns {Gesture}
   * @throws {DocumentError} when there is no photo under the painting
   */
  beginRestore() {
    this.gesture?.cancel();
    this.keepLights();
    const { source, edits } = this;
    if (!source || !edits) throw noPhoto();
    const [bottom, ...above] = this.layers;
    /** @type {Target[]} */
    const layers = [
      { layer: bottom, value: source.map.data },
      ...above.filter(({ visible }) => visible).map((layer) => ({ layer, value: HOLE })),
    ]
      .filter(({ layer }) => !layer.locked)
      .map(({ layer, value }) => ({ plane: "labels", map: layer.map, value }));
    this.gesture = new Gesture(this, { plane: "edits", map: edits, value: 0 }, layers);
    return this.gesture;
  }

  /** Pixels of a plane were written. @param {PlaneName} plane @param {Rect} rect */
  showChange(plane, rect) {
    if (plane === "labels") flatten(this.layers, this.map, rect);
    this.emit({ rect, plane });
  }

  // Light

  /** @returns {Light} */
  get light() {
    return { seed: this.seed, style: this.style, code: this.code };
  }

  /**
   * Another seed, in a light of its own.
   *
   * @param {number} seed
   */
  setSeed(seed) {
    this.setLight({ seed, style: null, code: null });
  }

  /**
   * A style, with the seed's noise; null goes back to the seed's own light.
   *
   * @param {string | null} style
   */
  setStyle(style) {
    this.setLight({ style, code: null });
  }

  /** One undoable step. @param {Partial<Light>} light what is not given stays */
  setLight(light) {
    this.keepLights();
    const next = { ...this.light, ...light };
    if (sameLight(next, this)) return;
    this.history.push({ tiles: [], light: this.light });
    this.touched = true;
    this.#relight(next);
    this.emit({ light: true, settled: true });
  }

  /**
   * The lights that parts of the picture may have, one undoable step; `styles` keeps its numbers.
   *
   * @param {readonly Region[]} regions at most MAX_REGIONS
   */
  setRegions(regions) {
    this.#restructure({ regions: regions.slice(0, MAX_REGIONS) });
  }

  /**
   * A light for a part is gone, one undoable step: the painting's own falls where it fell.
   *
   * @param {number} number 1 for the first of `regions`; higher ones move down by one, in `styles` too
   */
  removeRegion(number) {
    this.gesture?.cancel();
    this.keepLights();
    const { styles } = this;
    const transaction = new Transaction(styles);
    for (let i = 0; i < styles.data.length; i++) {
      if (styles.data[i] < number) continue;
      const y = Math.floor(i / styles.width);
      const x = i - y * styles.width;
      transaction.keep(y, x, x + 1);
      styles.data[i] = styles.data[i] === number ? 0 : styles.data[i] - 1;
    }
    this.#restructure({ regions: this.regions.toSpliced(number - 1, 1) }, transaction.changedTiles());
  }

  /**
   * Lights as they are while a slider moves: shown, but no step of the history before keepLights().
   *
   * @param {{light?: Partial<Light>, regions?: readonly Region[]}} lights what is not given stays
   */
  tryLights({ light = {}, regions = this.regions }) {
    this.tried ??= { light: this.light, structure: this.#structure };
    this.#relight({ ...this.light, ...light });
    this.regions = regions;
    this.emit({ light: true });
  }

  /** What was tried becomes one undoable step. @returns {boolean} whether anything had been */
  keepLights() {
    const before = this.tried;
    this.tried = null;
    if (!before || (sameLight(before.light, this) && before.structure.regions === this.regions)) return false;
    const structure = before.structure.regions === this.regions ? undefined : before.structure;
    this.history.push({ tiles: [], light: before.light, structure });
    this.touched = true;
    this.emit({ light: true, structure: Boolean(structure), settled: true });
    return true;
  }

  /** As if nothing had been tried. @returns {boolean} whether anything had been */
  dropLights() {
    const before = this.tried;
    this.tried = null;
    if (!before) return false;
    this.#relight(before.light);
    this.regions = before.structure.regions;
    this.emit({ light: true });
    return true;
  }

  // Layers

  /** Which layer is painted on; no step of the history. @param {string} id */
  setActive(id) {
    if (this.active === id || !this.layers.some((layer) => layer.id === id)) return;
    this.gesture?.cancel();
    this.active = id;
    this.emit({ structure: true, settled: true });
  }

  /**
   * An empty layer above the active one, which it becomes.
   *
   * @param {string} id
   * @param {string} name
   * @throws {DocumentError} when there are MAX_LAYERS
   */
  addLayer(id, name) {
    this.insertLayer({
      id,
      name,
      visible: true,
      locked: false,
      map: createMap(this.map.width, this.map.height, HOLE),
    });
  }

  /** @param {Layer} layer goes above the active one @throws {DocumentError} when there are MAX_LAYERS */
  insertLayer(layer) {
    if (this.layers.length >= MAX_LAYERS) {
      throw new DocumentError(
        "There are as many layers as there may be.",
        "A painting has at most {most}.",
        "Merge some of them first.",
        { most: MAX_LAYERS },
      );
    }
    const at = this.layers.indexOf(this.layer) + 1;
    this.#restructure({ layers: this.layers.toSpliced(at, 0, layer), active: layer.id });
  }

  /** The last one stays. What was in its holes at the bottom becomes sky. @param {string} id */
  removeLayer(id) {
    if (this.layers.length === 1) return;
    const at = this.layers.findIndex((layer) => layer.id === id);
    if (at < 0) return;
    const left = this.layers.toSpliced(at, 1);
    const next = left[Math.max(0, at - 1)];
    this.#restructure({ layers: left, active: this.active === id ? next.id : this.active });
  }

  /**
   * @param {string} id
   * @param {number} to its new place, 0 at the bottom
   */
  moveLayer(id, to) {
    const layer = this.layers.find((one) => one.id === id);
    if (!layer) return;
    const others = this.layers.filter((one) => one !== layer);
    const at = Math.max(0, Math.min(others.length, to));
    this.#restructure({ layers: others.toSpliced(at, 0, layer) });
  }

  /**
   * Name it, hide it, lock it.
   *
   * @param {string} id
   * @param {{name?: string, visible?: boolean, locked?: boolean}} changes
   */
  changeLayer(id, changes) {
    this.#restructure({
      layers: this.layers.map((layer) => (layer.id === id ? { ...layer, ...changes } : layer)),
    });
  }

  /** One layer of it and the one below. @param {string} id */
  mergeDown(id) {
    const at = this.layers.findIndex((layer) => layer.id === id);
    if (at < 1) return;
    const [lower, upper] = [this.layers[at - 1], this.layers[at]];
    const merged = { ...lower, map: mergedMap(upper, lower) };
    this.#restructure({ layers: this.layers.toSpliced(at - 1, 2, merged), active: merged.id });
  }

  /** All of them become one. */
  flattenLayers() {
    if (this.layers.length === 1) return;
    const base = { ...this.layers[0], visible: true, map: { ...this.map, data: this.map.data.slice() } };
    this.#restructure({ layers: [base], active: base.id });
  }

  // History

  /** Cancels an open gesture, or else takes back the last step. @returns {boolean} whether anything happened */
  undo() {
    if (this.gesture) {
      this.gesture.cancel();
      return true;
    }
    if (this.dropLights()) return true;
    return this.#told(this.history.undo((step) => this.#swap(step)));
  }

  /** @returns {boolean} whether anything happened */
  redo() {
    if (this.gesture || this.tried) return false;
    return this.#told(this.history.redo((step) => this.#swap(step)));
  }

  /** Who hears of it finds the history as it is afterwards. @param {Step | null} opposite of a step that was taken */
  #told(opposite) {
    if (opposite) this.#tell(opposite);
    return opposite !== null;
  }

  /**
   * @param {Step} step
   * @returns {Step} its opposite
   */
  #swap(step) {
    /** @type {Step} */
    const opposite = { tiles: step.tiles.map(swapTile), weight: step.weight };
    if (step.light) {
      opposite.light = this.light;
      this.#relight(step.light);
    }
    if (step.structure) {
      opposite.structure = this.#structure;
      Object.assign(this, step.structure);
    }
    return opposite;
  }

  /** Announce what a step has changed. @param {Step} step as it takes the change back */
  #tell({ tiles, light, structure }) {
    this.touched = true;
    this.countVersions(tiles);
    const dirty = { labels: new Rects(), styles: new Rects(), edits: new Rects() };
    for (const { map, rect } of tiles) dirty[this.#planeOf(map)].add(rect);
    if (structure && !looksLike(structure.layers, this.layers)) dirty.labels.add(bounds(this.map));
    for (const plane of /** @type {PlaneName[]} */ (Object.keys(dirty))) {
      for (const rect of dirty[plane].take()) this.showChange(plane, rect);
    }
    const relit = Boolean(light) || (structure !== undefined && structure.regions !== this.regions);
    this.emit({ light: relit, structure: Boolean(structure), settled: true });
  }

  /** @param {LabelMap} map @returns {PlaneName} */
  #planeOf(map) {
    if (map === this.styles) return "styles";
    return map === this.edits ? "edits" : "labels";
  }

  /** @param {Light} light */
  #relight({ seed, style, code }) {
    this.seed = seed;
    this.style = style;
    this.code = code;
  }

  /** @returns {import("./history.js").Structure} */
  get #structure() {
    return { layers: this.layers, active: this.active, regions: this.regions };
  }

  /**
   * One undoable step.
   *
   * @param {Partial<import("./history.js").Structure>} changes
   * @param {Tile[]} [tiles] pixels that were changed with it, as they were
   */
  #restructure(changes, tiles = []) {
    this.gesture?.cancel();
    this.keepLights();
    const before = this.#structure;
    const layers = changes.layers && wholeBottom(changes.layers, this.labelSet);
    Object.assign(this, changes, layers && { layers });
    const weight = weightOf(before.layers, this.layers) + weightOf(this.layers, before.layers);
    /** @type {Step} */
    const step = { tiles, structure: before, weight };
    this.history.push(step);
    this.#tell(step);
  }
}

/**
 * Whether two lists of layers flatten to the same labels, whatever their layers are called.
 *
 * @param {readonly Layer[]} a
 * @param {readonly Layer[]} b
 */
function looksLike(a, b) {
  const shown = (/** @type {readonly Layer[]} */ [bottom, ...above]) => [
    bottom.map,
    ...above.filter(({ visible }) => visible).map(({ map }) => map),
  ];
  const [first, second] = [shown(a), shown(b)];
  return first.length === second.length && first.every((map, i) => map === second[i]);
}

/** What only makes sense over a photo was wished for without one. */
export function noPhoto() {
  return new DocumentError(
    "There is no photo under this painting.",
    "It began with labels.",
    "Open a photo to edit one.",
  );
}

/**
 * The bottom layer has no holes: a layer that comes to lie there gets sky instead.
 *
 * @param {readonly Layer[]} layers
 * @param {LabelSet} labelSet
 */
function wholeBottom(layers, labelSet) {
  const [bottom, ...above] = layers;
  if (!bottom.map.data.includes(HOLE)) return layers;
  const sky = idOfMeaning(labelSet, { name: "sky" });
  const data = bottom.map.data.map((id) => (id === HOLE ? sky : id));
  return [{ ...bottom, map: { ...bottom.map, data } }, ...above];
}

/** Bytes of the layers that only one of two lists holds. @param {readonly Layer[]} of @param {readonly Layer[]} beside */
function weightOf(of, beside) {
  const shared = new Set(beside.map(({ map }) => map));
  return of.reduce((sum, { map }) => (shared.has(map) ? sum : sum + map.data.length), 0);
}

/** @param {Light} a @param {Light} b */
function sameLight(a, b) {
  return a.seed === b.seed && a.style === b.style && sameCode(a.code, b.code);
}
