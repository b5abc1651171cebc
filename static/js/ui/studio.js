/**
 * The studio: the state of the page and everything that can be done in it. It paints, keeps and asks; how the network,
 * the files and the dialogs do their part is behind its ports, so it can be followed without a browser.
 *
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {"labels" | "styles" | "anew" | "restore"} Plane what gestures change: labels; where a light falls; where a
 *   photo is painted anew, or is itself again
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 * @typedef {import("../document/scene.js").Scene} Scene
 * @typedef {import("../tools/tool.js").ToolName} ToolName
 * @typedef {{id: string, title: string, code: number[]}} NamedStyle
 * @typedef {{
 *   id: string, name: string, licence: string, native_width: number, native_height: number,
 *   largest_width: number | null, largest_height: number | null, max_side: number, max_pixels: number,
 *   style_dim: number, styles: NamedStyle[], styles_by_region?: boolean, encodes_styles?: boolean, label_set: LabelSet,
 * }} Model as the server tells it, as far as the studio cares
 * @typedef {"split" | "photo" | "map" | "over"} View
 * @typedef {{
 *   document: LabelDocument | null,
 *   tool: ToolName,
 *   label: number,
 *   plane: Plane,
 *   region: number,
 *   size: number,
 *   models: Model[],
 *   model: string | null,
 *   seed: number,
 *   style: string | null,
 *   code: readonly number[] | null,
 *   seedLocked: boolean,
 *   layers: readonly import("../document/layers.js").Layer[],
 *   active: string,
 *   regions: readonly import("../document/document.js").Region[],
 *   other: number,
 *   selection: import("../document/labelmap.js").LabelMap | null,
 *   sketch: import("../tools/tool.js").Sketch | null,
 *   pressure: boolean,
 *   streamline: number,
 *   everywhere: boolean,
 *   selectMode: import("../document/selection.js").SelectMode,
 *   symmetry: import("../tools/tool.js").Symmetry,
 *   zoom: number,
 *   view: View,
 *   panels: readonly string[],
 *   sharing: boolean,
 *   session: "none" | "out" | "in",
 *   canUndo: boolean,
 *   canRedo: boolean,
 * }} State `region`: the style number that gestures write while lights are painted; seed to regions are the painting's;
 *   `other`: the label before this one; `sketch`: what a tool shows over the painting; `streamline`: 0…100;
 *   `zoom`: CSS pixels per pixel of the painting; `session`: whether somebody is signed in with a token, none where nobody
 *   has to be
 * @typedef {{mask: Uint8Array, model: string, seed: number, style: readonly number[] | null,
 *   styles: (readonly number[])[], styleMap: Uint8Array | null}} Wanted the exact picture of a painting: everything that
 *   it depends on; `mask` and `styleMap` are palette PNGs, `styles[k - 1]` the code of style number k
 * @typedef {{what?: string, why?: string, next?: string, message?: string,
 *   said?: import("../document/errors.js").DocumentError["said"]}} Refusal
 * @typedef {{what: string, why?: string, next?: string, tone?: "calm" | "error", key?: string, lasting?: boolean,
 *   action?: {title: string, run: () => void}}} Notice
 * @typedef {{
 *   changed: (change: import("../document/document.js").Change) => void,
 *   say: (notice: Notice) => void,
 *   keep: (document: LabelDocument, model: string | null) => void,
 *   forget: (id: string) => void,
 *   made: (document: LabelDocument, painting: Painting) => void,
 *   paintSmall: (wanted: Wanted, signal?: AbortSignal) => Promise<import("./lights.js").Painted>,
 *   readStyle: (photo: Blob, model: string) => Promise<number[]>,
 *   opening: () => import("./opening.js").Opening,
 *   exporting: () => import("./exporting.js").Exporting,
 *   gallery: () => import("./gallery.js").Gallery,
 *   sharing: () => import("./sharing.js").Sharing,
 *   signIn: () => import("./signin.js").SignIn,
 *   photo: () => import("./photo.js").PhotoEditing,
 *   choosePhoto: () => Promise<File | null>,
 *   chooseAtHand: (place: number) => void,
 *   findLabel: () => void,
 *   showStart: () => void,
 *   showHelp: () => void,
 *   zoom: (how: "in" | "out" | "fit" | "pixels") => void,
 *   showCanvasSize: () => void,
 *   showGuide: () => void,
 * }} Ports
 */
import { t, term } from "../core/i18n.js";
import { newId } from "../core/ids.js";
import { recall, remember } from "../core/remember.js";
import { Store } from "../core/store.js";
import { LabelDocument } from "../document/document.js";
import { exportMap, exportPlane } from "../document/exchange.js";
import { bounds, createMap, readRect, resizeNearest } from "../document/labelmap.js";
import {
  conversion,
  findMeaning,
  groupLabels,
  idOfMeaning,
  labelById,
  matches,
  sameSet,
} from "../document/labelset.js";
import { drawScene } from "../document/scene.js";
import { Hand } from "../tools/hand.js";
import { easelOf } from "./easel.js";
import { heldLabel, heldSize } from "./hand.js";
import { Lights } from "./lights.js";
import { emptySelected } from "./selecting.js";

const FIRST_SEED = 7;
/** The longer side of small pictures. */
const SMALL = 128;
/** In the order in which one key goes through them. @type {View[]} */
export const VIEWS = ["split", "photo", "map", "over"];
/** In the order in which one key goes through them. @type {import("../tools/tool.js").Symmetry[]} */
const SYMMETRIES = ["off", "vertical", "horizontal", "both"];
const SKY = { name: "sky" };
/** What a hand holds at first: something that shows against the sky. */
const FIRST_LABELS = ["mountain", "hill", "tree", "building"];

/** @param {LabelSet} set @returns {number} */
function firstLabel(set) {
  const found = FIRST_LABELS.map((name) => findMeaning(set, { name })).find(Boolean);
  return found?.id ?? groupLabels(set)[0].labels[0].id;
}

/** The brush may cover half of the shorter side. @param {State} state */
export function maxSize({ document }) {
  return document ? Math.max(8, Math.floor(Math.min(document.map.width, document.map.height) / 2)) : 128;
}

/** The number of a painting that is begun in this browser, so that its file and its place in the gallery are its own. */
function nextNumber() {
  const last = recall("begun");
  const number = typeof last === "number" && Number.isSafeInteger(last) && last > 0 ? last + 1 : 1;
  remember("begun", number);
  return number;
}

/** What of a painting the page shows beside its pixels. @param {LabelDocument} document */
function shownOf(document) {
  const { light, layers, active, regions, selection, history } = document;
  return { ...light, layers, active, regions, selection, canUndo: history.canUndo, canRedo: history.canRedo };
}

export class Studio {
  /** @param {Ports} ports */
  constructor(ports) {
    this.ports = ports;
    /** @type {Store<State>} */
    this.store = new Store(
      /** @type {State} */ ({
        document: null,
        tool: "brush",
        label: 0,
        plane: "labels",
        region: 0,
        size: 24,
        models: [],
        model: null,
        seed: FIRST_SEED,
        style: null,
        code: null,
        seedLocked: false,
        layers: [],
        active: "",
        regions: [],
        other: 0,
        selection: null,
        sketch: null,
        pressure: true,
        streamline: 30,
        everywhere: false,
        selectMode: "new",
        symmetry: "off",
        zoom: 1,
        view: "split",
        panels: [],
        sharing: false,
        session: "none",
        canUndo: false,
        canRedo: false,
      }),
    );
    /** The tool to go back to after picking. @type {ToolName} */
    this.lastTool = "brush";
    /** What paintings are begun in; null for the model's own size. @type {{width: number, height: number} | null} */
    this.newSize = null;
    this.unlisten = () => {};
    /** @type {Set<(change: import("../document/document.js").Change) => void>} */
    this.followers = new Set();
    this.lights = new Lights(this);
    this.hand = new Hand(easelOf(this));
  }

  get state() {
    return this.store.state;
  }

  /** @returns {LabelDocument} */
  get document() {
    const { document } = this.state;
    if (!document) throw new Error("there is no painting yet");
    return document;
  }

  /** @returns {Model} the model that paints */
  get model() {
    const { models, model } = this.state;
    const found = models.find(({ id }) => id === model) ?? models[0];
    if (!found) throw new Error("no model is known yet");
    return found;
  }

  /** @param {Model[]} models the first is the default */
  setModels(models) {
    const { model } = this.state;
    const known = models.some(({ id }) => id === model);
    this.store.set({ models, model: known ? model : (models[0]?.id ?? null) });
  }

  /** @param {string} id */
  setModel(id) {
    this.store.set({ model: id });
    if (this.state.document) this.ports.keep(this.document, id);
  }

  /**
   * What a model is given to paint: the painting's labels in the model's own set. The painting keeps its set for ever.
   *
   * @param {LabelDocument} painting
   * @returns {(rect: import("../document/rect.js").Rect) => Uint8Array}
   */
  readerFor({ map, labelSet }) {
    const convert = this.converterFor(labelSet);
    return (rect) => convert(readRect(map, rect));
  }

  /**
   * @param {LabelSet} labelSet
   * @returns {(ids: Uint8Array) => Uint8Array} ids of the set to those of the model's
   */
  converterFor(labelSet) {
    const target = this.model.label_set;
    if (labelSet.hash === target.hash) return (ids) => ids;
    const table = conversion(labelSet, target);
    return (ids) => ids.map((id) => table[id]);
  }

  /**
   * The code of a painting's style, or of a part's, as the model has it.
   *
   * @param {{style: string | null, code: readonly number[] | null}} light
   * @returns {readonly number[] | null} null for the seed's own light: none was chosen, or the model offers none of that
   *   name and has no use for the code
   */
  codeFor({ style, code }) {
    const own = code?.length === this.model.style_dim ? code : null;
    return this.model.styles.find(({ id }) => id === style)?.code ?? own;
  }

  /**
   * The lights that parts of a painting have, as the model has them. Where it knows nothing of a light, or of light by
   * region at all, the painting's own falls; and over a photo, which is edited in one light.
   *
   * @param {LabelDocument} painting
   * @returns {{codes: (readonly number[])[], read: (rect: import("../document/rect.js").Rect) => Uint8Array,
   *   any: () => boolean, numbering: string}} `codes[k - 1]` for number k of what `read` gives; `any`: whether that is not 0
   *   everywhere; `numbering`: which of the painting's lights has which number, nothing where none has one
   */
  lightsFor({ regions, styles, source }) {
    /** @type {(readonly number[])[]} */
    const codes = [];
    const table = new Uint8Array(256);
    for (const [i, region] of this.model.styles_by_region && !source ? regions.entries() : []) {
      const code = this.codeFor(region);
      if (code) table[i + 1] = codes.push(code);
    }
    return {
      codes,
      read: (rect) => readRect(styles, rect).map((number) => table[number]),
      any: () => codes.length > 0 && styles.data.some((number) => table[number] > 0),
      numbering: codes.length > 0 ? table.slice(1, regions.length + 1).join() : "",
    };
  }

  /**
   * All that the exact picture of a painting depends on, in the model's own terms.
   *
   * @param {LabelDocument} painting
   * @returns {Promise<Wanted>}
   */
  async requestOf(painting) {
    const { map, seed } = painting;
    const whole = bounds(map);
    const lights = this.lightsFor(painting);
    const any = lights.any();
    return {
      mask: await exportMap({ ...map, data: this.readerFor(painting)(whole) }, this.model.label_set),
      model: this.model.id,
      seed,
      style: this.codeFor(painting),
      styles: any ? lights.codes : [],
      styleMap: any ? await exportPlane({ ...map, data: lights.read(whole) }) : null,
    };
  }

  /**
   * What the model paints instead of those labels that it lacks.
   *
   * @returns {Map<number, string>} by the painting's ids; empty while no model is known
   */
  standIns() {
    const { document, models } = this.state;
    /** @type {Map<number, string>} */
    const names = new Map();
    if (!document || models.length === 0) return names;
    const target = this.model.label_set;
    for (const [id, match] of matches(document.labelSet, target)) {
      if (!match.exact) names.set(id, labelById(target, match.id)?.name ?? "");
    }
    return names;
  }

  /**
   * Start a change of what is painted at present.
   *
   * @param {number} [value] instead of the chosen label or light
   * @returns {import("../document/document.js").Gesture}
   * @throws {import("../document/errors.js").DocumentError} when it cannot be painted on
   */
  begin(value) {
    const { document } = this;
    const { plane, label, region } = this.state;
    if (plane === "restore") return document.beginRestore();
    if (plane === "anew") return document.begin(value ?? 1, "edits");
    if (plane === "styles") return document.begin(value ?? region, "styles");
    return document.begin(value ?? label);
  }

  /**
   * The same of a small picture, in another light.
   *
   * @param {{seed: number, code: readonly number[] | null}} light
   * @returns {Promise<Wanted>}
   */
  async smallRequest({ seed, code }) {
    const { map } = this.document;
    const whole = { ...map, data: this.readerFor(this.document)(bounds(map)) };
    const scale = SMALL / Math.max(map.width, map.height);
    const [width, height] = [map.width, map.height].map((side) => Math.max(1, Math.round(side * scale)));
    const mask = await exportMap(resizeNearest(whole, width, height), this.model.label_set);
    return { mask, model: this.model.id, seed, style: code, styles: [], styleMap: null };
  }

  /** @param {Plane} plane what gestures change from now on */
  setPlane(plane) {
    this.hand.settle();
    this.store.set({ plane });
  }

  /** Let go of one thing: the gesture under way, a light that is only tried, painting anything but labels, the selection. */
  cancel() {
    if (this.hand.cancel() || !this.state.document || this.document.dropLights()) return;
    if (this.state.plane !== "labels") this.setPlane("labels");
    else this.select(null);
  }

  /** Paint with a light, until labels are painted again. @param {number} number 0 the painting's own, k the k-th region's */
  paintLight(number) {
    this.setPlane("styles");
    this.store.set({ region: number });
  }

  /** @param {ToolName} tool */
  setTool(tool) {
    if (tool === this.state.tool) return;
    this.hand.settle();
    if (tool !== "pick") this.lastTool = tool;
    this.store.set({ tool });
  }

  /** A pick is over. @param {number} before what was chosen until then */
  picked(before) {
    if (this.state.plane === "labels" && before !== this.state.label) this.store.set({ other: before });
    if (this.state.tool === "pick") this.setTool(this.lastTool);
  }

  /** @param {number} id */
  setLabel(id) {
    const { label, other } = this.state;
    if (!labelById(this.document.labelSet, id)) return;
    this.store.set({ label: id, other: id === label ? other : label, plane: "labels" });
  }

  /** The label before this one, and back again. */
  swapLabels() {
    this.setLabel(this.state.other);
  }

  /** Off, left and right, above and below, both. */
  nextSymmetry() {
    this.store.set({
      symmetry: SYMMETRIES[(SYMMETRIES.indexOf(this.state.symmetry) + 1) % SYMMETRIES.length],
    });
  }

  /** What gestures keep to. @param {import("../document/labelmap.js").LabelMap | null} selection null for everything */
  select(selection) {
    this.document.selection = selection;
    this.store.set({ selection });
  }

  /** @param {number} size brush diameter in map pixels */
  setSize(size) {
    this.store.set({ size: Math.min(maxSize(this.state), Math.max(1, Math.round(size))) });
  }

  /** Steps that feel even: about a seventh, at least a pixel. @param {1 | -1} direction */
  stepSize(direction) {
    const { size } = this.state;
    const scaled = size * 1.15 ** direction;
    this.setSize(direction > 0 ? Math.max(size + 1, scaled) : Math.min(size - 1, scaled));
  }

  /** @param {View} view */
  setView(view) {
    this.store.set({ view });
  }

  nextView() {
    this.setView(VIEWS[(VIEWS.indexOf(this.state.view) + 1) % VIEWS.length]);
  }

  /** Open a panel, or close it. @param {string} name */
  togglePanel(name) {
    const { panels } = this.state;
    const open = panels.includes(name);
    this.store.set({ panels: open ? panels.filter((one) => one !== name) : [...panels, name] });
  }

  /** What is half drawn is taken back first, corner by corner where it has some. */
  undo() {
    if (!this.hand.back() && !this.hand.cancel()) this.document.undo();
  }

  redo() {
    if (!this.hand.busy) this.document.redo();
  }

  /** What is selected, or else the whole layer, as if an eraser had gone over it. */
  clear() {
    emptySelected(this);
  }

  /** @param {boolean} seedLocked whether the dice and lights that were kept leave the seed as it is */
  lockSeed(seedLocked) {
    this.store.set({ seedLocked });
  }

  /** @param {(change: import("../document/document.js").Change) => void} listener hears every change of every painting */
  follow(listener) {
    this.followers.add(listener);
  }

  /**
   * Paint on this one from now on.
   *
   * @param {LabelDocument} document
   */
  adopt(document) {
    this.hand.settle();
    const before = this.state.document;
    // What no hand has touched is not worth keeping.
    if (before && before !== document && !before.touched) this.ports.forget(before.id);
    const { label } = this.state;
    const fits = before && sameSet(before.labelSet, document.labelSet);
    this.store.set({
      document,
      label: fits ? label : (heldLabel(document.labelSet) ?? firstLabel(document.labelSet)),
      other: fits ? this.state.other : idOfMeaning(document.labelSet, SKY),
      plane: "labels",
      ...shownOf(document),
    });
    const size = before ? this.state.size : heldSize();
    this.setSize(size ?? Math.min(document.map.width, document.map.height) / 10);
    this.unlisten();
    this.unlisten = document.listen((change) => {
      this.store.set(shownOf(document));
      // A light that was undone is painted with no more.
      if (this.state.region > document.regions.length) this.store.set({ region: 0 });
      this.ports.changed(change);
      for (const follower of this.followers) follower(change);
      if (change.settled) this.ports.keep(document, this.state.model);
    });
    this.ports.keep(document, this.state.model);
  }

  /**
   * @param {Painting} painting
   * @param {string} [said] what to tell; nothing for the first painting of a visit
   */
  #start(painting, said) {
    const before = this.state.document;
    const document = new LabelDocument(painting);
    this.ports.made(document, painting);
    this.adopt(document);
    if (!before || !said) return;
    this.ports.say({
      what: said,
      key: "new",
      action: { title: t("Back to the one before"), run: () => this.adopt(before) },
    });
  }

  /** The size of what is begun: the one that was chosen, else the model's own. */
  get sizeOfNew() {
    const { native_width: width, native_height: height } = this.model;
    return this.newSize ?? { width, height };
  }

  /** @param {Scene} scene */
  startScene(scene) {
    const { label_set: labelSet } = this.model;
    const { width, height } = this.sizeOfNew;
    const map = drawScene(scene, width, height, labelSet);
    const { style = null, light: seed = FIRST_SEED } = scene;
    const title = term(scene.title);
    this.#start({ id: newId(), title, map, labelSet, seed, style }, t("{title} is on the easel.", { title }));
  }

  /** @param {{width: number, height: number}} [size] */
  startBlank({ width, height } = this.sizeOfNew) {
    const { label_set: labelSet } = this.model;
    const title = t("Painting {number}", { number: nextNumber() });
    const map = createMap(width, height, idOfMeaning(labelSet, SKY));
    this.#start({ id: newId(), title, map, labelSet, seed: FIRST_SEED }, t("A clear sky is on the easel."));
  }

  /** @param {Omit<Painting, "id">} copy of the one on the easel, which stays as it is */
  startCopy(copy) {
    this.#start({ id: newId(), ...copy }, t("A copy of {title} is on the easel.", { title: copy.title }));
  }

  /** @param {File | null} [given] a photo that was dropped; asks for one otherwise */
  async openPhoto(given) {
    const file = given ?? (await this.ports.choosePhoto());
    if (file) await this.ports.photo().open(file, file.name.replace(/\.[^.]*$/, "") || t("Photo"));
  }

  /**
   * @param {Painting} painting one with a photo under it
   * @param {string} [said]
   */
  startPhoto(painting, said = t("{title} is open: paint on its labels.", { title: painting.title })) {
    this.#start(painting, said);
    if (!this.state.panels.includes("edit")) this.togglePanel("edit");
  }

  /**
   * @param {Painting} painting one that was kept
   * @param {string | null} [model] that painted it, if it is still there
   */
  startKept(painting, model) {
    this.startOpened(painting, t("{title} is back on the easel.", { title: painting.title }), model);
  }

  /**
   * @param {Painting} painting
   * @param {string} said
   * @param {string | null} [model] the one that stays where this is not known
   */
  startOpened(painting, said, model) {
    const { models } = this.state;
    if (model && (models.length === 0 || models.some(({ id }) => id === model))) this.store.set({ model });
    this.#start(painting, said);
  }
}

/**
 * A refusal in the painter's language. What the page itself says is translated; a server's own words stay English.
 *
 * @param {unknown} error anything thrown; what carries what / why / next keeps them
 * @param {string} what when it says nothing useful
 * @returns {Notice}
 */
export function noticeOf(error, what) {
  const known = /** @type {Refusal} */ (error ?? {});
  const { values = {} } = known.said ?? {};
  const { what: told, why = "", next = "" } = known.said ?? known;
  if (told) return { what: t(told, values), why: t(why, values), next: t(next, values), tone: "error" };
  return { what, why: known.message, tone: "error" };
}
