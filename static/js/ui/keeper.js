/**
 * Keeps paintings in this browser: one record per document, written after every complete change, and only those parts of
 * it that changed. While one write is under way only the newest state waits; a page that goes leaves the rest behind for
 * the next. Two tabs never write over each other: what somebody else has painted on meanwhile goes on as a copy. When the
 * browser will not keep them, that is said once, with a way out.
 *
 * @typedef {import("../core/records.js").Parts} Parts
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("../document/layers.js").Layer} Layer
 * @typedef {{
 *   id: string, updated: number, token?: string, created?: number, title: string, width: number, height: number,
 *   labelSet: import("../document/labelset.js").LabelSet, model: string | null, touched: boolean,
 *   seed: number, style?: string | null, code?: readonly number[] | null,
 *   regions?: readonly import("../document/document.js").Region[],
 *   layers?: Omit<Layer, "map">[], active?: string, source?: {width: number, height: number} | null,
 *   bytes?: number, labels?: Uint8Array,
 * }} PaintingHead heads that the first edition of the studio wrote hold the only layer's `labels` and have no `layers`
 * @typedef {import("../core/records.js").Records<PaintingHead>} PaintingRecords
 * @typedef {"saving" | "saved" | "failed"} Saved
 * @typedef {"held" | "taken" | "newer"} Copied why a document goes on as a copy: another tab works on it, has taken it over,
 *   or has written meanwhile
 */
import { newId } from "../core/ids.js";
import { tokenOf } from "../core/records.js";
import { pack, unpack } from "../document/history.js";

/** The version of a plane that has to be written again. */
const UNKNOWN = -1;

/**
 * @typedef {{document: LabelDocument, model: string | null, token: string, head: PaintingHead, parts: Parts,
 *   stored: Session["stored"]}} Draft `stored`: what the parts will be once they are written
 */

/** What is known of a document that is kept. */
class Session {
  constructor() {
    /** Tokens of the states that may be written over, the latest last. @type {Set<string>} */
    this.known = new Set();
    /** The head that was written last, as `sayingOf` has it. */
    this.said = "";
    /** What lies in the parts, by name. @type {Map<string, {of: object, version: number, size: number}>} */
    this.stored = new Map();
    this.created = Date.now();
    /** A small picture of it, until it is written. @type {Blob | null} */
    this.thumbnail = null;
  }
}

export class Keeper {
  /**
   * @param {PaintingRecords} records
   * @param {{
   *   claim: (id: string) => Promise<boolean>,
   *   onSaved: (saved: Saved) => void,
   *   onFailure: (error: unknown) => void,
   *   onCopied: (document: LabelDocument, why: Copied, id: string) => void,
   * }} ports `claim`: false when another tab works on it; `onCopied`: from now on the document is a copy of that one
   */
  constructor(records, ports) {
    this.records = records;
    this.ports = ports;
    this.writer = newId();
    this.failed = false;
    /** Paintings with changes that are not written, and their models. @type {Map<LabelDocument, string | null>} */
    this.waiting = new Map();
    /** What is being written. @type {Draft | null} */
    this.writing = null;
    /** What this page has left behind, and might come back to. @type {Set<string>} */
    this.left = new Set();
    /** @type {Promise<void> | null} */
    this.run = null;
    this.wake = () => {};
    /** Copies, of which nothing is kept before a hand has touched them. @type {WeakSet<LabelDocument>} */
    this.copies = new WeakSet();
    /** @type {WeakMap<LabelDocument, Session>} */
    this.sessions = new WeakMap();
    /** Of paintings that were read and are not on the easel yet. @type {WeakMap<Painting, Session>} */
    this.read = new WeakMap();
  }

  /**
   * @param {LabelDocument} document
   * @param {string | null} model
   */
  keep(document, model) {
    this.waiting.set(document, model);
    if (!this.failed) this.ports.onSaved("saving");
    this.#start();
  }

  /** Wait until everything is written. */
  async finish() {
    await this.run;
  }

  /** The page is about to go: what is not written yet is left for the next. */
  flush() {
    const { writing } = this;
    const all = new Map([
      ...(writing ? [/** @type {const} */ ([writing.document, writing.model])] : []),
      ...this.waiting,
    ]);
    for (const [document, model] of all) if (this.#isKept(document)) this.#leave(document, model);
  }

  /** @param {LabelDocument} document @returns {number} when it was begun, in milliseconds */
  createdOf(document) {
    return this.#sessionOf(document).created;
  }

  /** @param {string} id */
  forget(id) {
    for (const document of this.waiting.keys()) if (document.id === id) this.waiting.delete(document);
    this.records.remove(id).catch(() => {});
  }

  /**
   * A small picture for the gallery, kept with the next write.
   *
   * @param {LabelDocument} document
   * @param {Blob} thumbnail
   */
  picture(document, thumbnail) {
    this.#sessionOf(document).thumbnail = thumbnail;
  }

  /** @returns {Promise<PaintingHead[]>} the latest first */
  heads() {
    return this.records.heads();
  }

  /** @param {string} id @returns {Promise<Blob | null>} */
  async thumbnailOf(id) {
    const part = await this.records.part(id, "thumbnail");
    return part instanceof Blob ? part : null;
  }

  /**
   * What pages that were closed could not finish.
   *
   * @param {(title: string) => string} copyTitle
   * @returns {Promise<PaintingHead[]>} those that had to become copies, because another tab has painted on
   */
  recover(copyTitle) {
    return this.records.recover((head) => copied(head, newId(), copyTitle(head.title)));
  }

  /** @param {string} id @param {string} title */
  async rename(id, title) {
    for (;;) {
      const record = await this.records.get(id);
      if (!record) return;
      // With its token: a tab that paints on it knows this state, and goes on.
      const { head } = record;
      const outcome = await this.records.write({ ...head, title }, new Map(), [tokenOf(head)]);
      // Somebody has painted on between the two.
      if (outcome !== "newer") return;
    }
  }

  /** @param {string} id @param {string} as the id of the other @param {string} title */
  async duplicate(id, as, title) {
    const record = await this.records.get(id);
    if (record) await this.records.copy(id, copied(record.head, as, title));
  }

  /** @param {string} id @returns {Promise<() => Promise<void>>} puts it back as it was */
  async remove(id) {
    const record = await this.records.get(id);
    await this.records.remove(id);
    return async () => {
      if (record) await this.records.write(record.head, record.parts, []);
    };
  }

  /** @param {string} id @returns {Promise<{painting: Painting, model: string | null} | null>} null: it is not there */
  async open(id) {
    const record = await this.records.get(id);
    if (!record) return null;
    const { head, parts } = record;
    const painting = paintingOf(head, parts);
    const session = new Session();
    session.known.add(tokenOf(head));
    session.created = head.created ?? head.updated;
    session.said = sayingOf(head);
    for (const [name, { of }] of planesOf(painting)) {
      const part = parts.get(name);
      if (part) session.stored.set(name, { of, version: 0, size: sizeOf(part) });
    }
    this.read.set(painting, session);
    return { painting, model: head.model };
  }

  /** The document was made from a painting that was read here. @param {Painting} painting @param {LabelDocument} document */
  adopt(painting, document) {
    const session = this.read.get(painting);
    if (session) this.sessions.set(document, session);
  }

  /**
   * It goes on as another painting.
   *
   * @param {LabelDocument} document
   * @param {Copied} why
   */
  makeCopy(document, why) {
    const { id } = document;
    document.id = newId();
    this.sessions.set(document, new Session());
    // What has not been painted on is no more than the other one, and not worth keeping.
    if (why !== "newer") document.touched = why === "held" && document.history.canUndo;
    this.copies.add(document);
    this.ports.onCopied(document, why, id);
  }

  #start() {
    this.run ??= this.#write().finally(() => {
      this.run = null;
      if (this.waiting.size > 0) this.#start();
    });
  }

  async #write() {
    // Not in the task of the pointer event that ended a stroke.
    await this.#breath();
    for (const document of this.waiting.keys()) {
      try {
        await this.#keepOne(document);
        this.failed = false;
        if (this.waiting.size === 0) this.ports.onSaved("saved");
      } catch (error) {
        this.waiting.delete(document);
        this.ports.onSaved("failed");
        if (!this.failed) this.ports.onFailure(error);
        this.failed = true;
      }
      this.writing = null;
    }
  }

  /** The page may be about to go: write at once. */
  hurry() {
    this.wake();
  }

  #breath() {
    return new Promise((resolve) => {
      this.wake = () => resolve(undefined);
      setTimeout(this.wake, 0);
    });
  }

  /** @param {LabelDocument} document */
  async #keepOne(document) {
    const untouched = this.copies.has(document) && !document.touched;
    if (!untouched && !(await this.ports.claim(document.id))) this.makeCopy(document, "held");
    const model = this.waiting.get(document) ?? null;
    this.waiting.delete(document);
    if (this.#isKept(document)) await this.#writeOne(document, model);
  }

  /** @param {LabelDocument} document */
  #isKept(document) {
    return document.touched || !this.copies.has(document);
  }

  /** @param {LabelDocument} document @param {string | null} model */
  async #writeOne(document, model) {
    const session = this.#sessionOf(document);
    const draft = this.#draft(document, model, session);
    this.writing = draft;
    const known = [...session.known];
    // It may reach the disk without our hearing of it.
    session.known.add(draft.token);
    const mark = this.#mark(document);
    const left = this.left.has(mark) ? mark : undefined;
    const outcome = await this.records.write(draft.head, draft.parts, known, left);
    if (outcome === "written") {
      session.known = new Set([draft.token]);
      session.said = sayingOf(draft.head);
      session.stored = draft.stored;
      if (session.thumbnail === draft.parts.get("thumbnail")) session.thumbnail = null;
      this.left.delete(mark);
      return;
    }
    // Somebody has painted on: both are kept. Somebody has deleted it: it is on the easel here, and stays.
    if (outcome === "newer") this.makeCopy(document, "newer");
    else this.sessions.set(document, Object.assign(new Session(), { created: session.created }));
    if (!this.waiting.has(document)) this.waiting.set(document, model);
  }

  /** Lay aside all that is not certain to be written. @param {LabelDocument} document @param {string | null} model */
  #leave(document, model) {
    const session = this.#sessionOf(document);
    // All planes, since whoever finds them may have to make a copy of them; the photo never changes.
    const whole = Object.assign(new Session(), { created: session.created });
    for (const [name, part] of session.stored) {
      whole.stored.set(name, name === "source" ? part : { ...part, version: UNKNOWN });
    }
    const { head, parts, token } = this.#draft(document, model, whole);
    this.records.leave(head, parts, [...session.known], this.#mark(document));
    this.left.add(this.#mark(document));
    session.known.add(token);
  }

  /** @param {LabelDocument} document */
  #mark(document) {
    return `${this.writer} ${document.id}`;
  }

  /** @param {LabelDocument} document */
  #sessionOf(document) {
    const session = this.sessions.get(document) ?? new Session();
    this.sessions.set(document, session);
    return session;
  }

  /**
   * @param {LabelDocument} document
   * @param {string | null} model
   * @param {Session} session
   * @returns {Draft}
   */
  #draft(document, model, session) {
    /** @type {Parts} */
    const parts = new Map();
    const stored = new Map(session.stored);
    const planes = planesOf(document);
    for (const name of stored.keys()) if (!planes.has(name)) parts.set(name, null);
    for (const name of parts.keys()) stored.delete(name);
    for (const [name, { of, bytes }] of planes) {
      const version = document.versionOf(/** @type {LabelMap} */ (of));
      const before = stored.get(name);
      const open = document.gesture !== null;
      if (before?.of === of && before.version === version && !open) continue;
      const value = bytes();
      parts.set(name, value);
      // What a gesture has written so far may yet be taken back.
      stored.set(name, { of, version: open ? UNKNOWN : version, size: sizeOf(value) });
    }
    const size = [...stored.values()].reduce((sum, part) => sum + part.size, 0);
    const head = { ...headOf(document, model), token: "", created: session.created, bytes: size };
    // Put on the easel and not changed, it is what it was: no other tab has to mind.
    const same = parts.size === 0 && sayingOf(head) === session.said;
    const token = (same && [...session.known].at(-1)) || newId();
    if (session.thumbnail) parts.set("thumbnail", session.thumbnail);
    return { document, model, token, head: { ...head, token }, parts, stored };
  }
}

/**
 * @param {LabelDocument} document
 * @param {string | null} model
 * @returns {PaintingHead}
 */
function headOf(document, model) {
  const { id, title, map, labelSet, light, regions, layers, active, source, touched } = document;
  return {
    id,
    updated: Date.now(),
    title,
    width: map.width,
    height: map.height,
    labelSet,
    ...light,
    regions,
    layers: layers.map(({ map: _, ...layer }) => layer),
    active,
    source: source && { width: source.width, height: source.height },
    model,
    touched,
  };
}

/**
 * The parts that a painting has beside its head, by name.
 *
 * @param {Pick<Painting, "layers" | "styles" | "edits" | "source">} painting
 * @returns {Map<string, {of: object, bytes: () => Uint8Array | Blob}>}
 */
function planesOf({ layers = [], styles, edits, source }) {
  /** @type {Map<string, {of: object, bytes: () => Uint8Array | Blob}>} */
  const planes = new Map();
  const add = (/** @type {string} */ name, /** @type {LabelMap | null | undefined} */ map) => {
    if (map) planes.set(name, { of: map, bytes: () => pack(map.data) });
  };
  for (const { id, map } of layers) add(`layer ${id}`, map);
  add("styles", styles);
  add("edits", edits);
  add("source map", source?.map);
  if (source) planes.set("source", { of: source.blob, bytes: () => source.blob });
  return planes;
}

/** All that a head says of its painting. @param {PaintingHead} head */
function sayingOf(head) {
  return JSON.stringify({ ...head, updated: 0, token: "" });
}

/** @param {PaintingHead} head @param {string} id @param {string} title @returns {PaintingHead} */
function copied(head, id, title) {
  return { ...head, id, title, token: newId(), updated: Date.now() };
}

/** @param {Uint8Array | Blob} part */
function sizeOf(part) {
  return part instanceof Uint8Array ? part.length : part.size;
}

/**
 * @param {PaintingHead} head
 * @param {Map<string, Uint8Array | Blob>} parts
 * @returns {Painting}
 */
export function paintingOf(head, parts) {
  const { id, title, width, height, labelSet, seed, style, code, regions, active, touched } = head;
  const map = (/** @type {string} */ name) => {
    const packed = parts.get(name);
    if (!(packed instanceof Uint8Array)) return null;
    return { width, height, data: unpack(packed, width * height) };
  };
  const base = { id, title, labelSet, seed, style, code, touched };
  if (!head.layers) {
    const only = { width, height, data: head.labels ?? new Uint8Array(width * height) };
    return {
      ...base,
      map: only,
      layers: [{ id: "base", name: "", visible: true, locked: false, map: only }],
    };
  }
  const layers = head.layers.map((layer) => ({
    ...layer,
    map: map(`layer ${layer.id}`) ?? { width, height, data: new Uint8Array(width * height) },
  }));
  const blob = parts.get("source");
  const seen = map("source map");
  const source = head.source && blob instanceof Blob && seen ? { ...head.source, blob, map: seen } : null;
  return {
    ...base,
    map: layers[0].map,
    layers,
    active,
    regions,
    styles: map("styles"),
    edits: map("edits"),
    source,
  };
}
