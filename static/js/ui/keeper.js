/**
 * Keeps paintings in this browser: one record per document, written as soon as a change is complete, so that even a
 * page that is closed at once loses nothing. While one write is under way only the newest state waits. When the browser
 * will not keep them, that is said once, with a way out.
 *
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {{
 *   id: string, updated: number, title: string, width: number, height: number, labels: Uint8Array,
 *   labelSet: import("../document/labelset.js").LabelSet, seed: number, style?: string | null, model: string | null,
 *   touched: boolean,
 * }} PaintingRecord `style` is missing where a page without styles kept the painting
 * @typedef {"saving" | "saved" | "failed"} Saved
 */
export class Keeper {
  /**
   * @param {import("../core/records.js").Records<PaintingRecord>} records
   * @param {{onSaved: (saved: Saved) => void, onFailure: (error: unknown) => void}} ports
   */
  constructor(records, { onSaved, onFailure }) {
    this.records = records;
    this.onSaved = onSaved;
    this.onFailure = onFailure;
    this.failed = false;
    /** @type {{document: LabelDocument, model: string | null} | null} */
    this.waiting = null;
    this.writing = false;
  }

  /**
   * @param {LabelDocument} document
   * @param {string | null} model
   */
  keep(document, model) {
    this.waiting = { document, model };
    if (!this.failed) this.onSaved("saving");
    if (!this.writing) this.#write();
  }

  /** The page is about to go: what still waits for the write under way is handed over now. */
  flush() {
    const { waiting } = this;
    this.waiting = null;
    if (waiting) this.records.put(recordOf(waiting.document, waiting.model)).catch(() => {});
  }

  /** @param {string} id */
  forget(id) {
    if (this.waiting?.document.id === id) this.waiting = null;
    this.records.remove(id).catch(() => {});
  }

  /** @returns {Promise<PaintingRecord[]>} the latest first */
  all() {
    return this.records.all();
  }

  async #write() {
    this.writing = true;
    while (this.waiting) {
      const { document, model } = this.waiting;
      this.waiting = null;
      try {
        await this.records.put(recordOf(document, model));
        this.failed = false;
        if (!this.waiting) this.onSaved("saved");
      } catch (error) {
        this.onSaved("failed");
        if (!this.failed) this.onFailure(error);
        this.failed = true;
      }
    }
    this.writing = false;
  }
}

/**
 * @param {LabelDocument} document
 * @param {string | null} model
 * @returns {PaintingRecord}
 */
function recordOf({ id, title, map, labelSet, seed, style, touched }, model) {
  const { width, height, data } = map;
  return {
    id,
    updated: Date.now(),
    title,
    width,
    height,
    labels: data,
    labelSet,
    seed,
    style,
    model,
    touched,
  };
}

/**
 * @param {PaintingRecord} record
 * @returns {Painting}
 */
export function paintingOf({ id, title, width, height, labels, labelSet, seed, style, touched }) {
  return { id, title, map: { width, height, data: labels }, labelSet, seed, style, touched };
}
