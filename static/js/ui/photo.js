/**
 * Editing a photo: what stands on it becomes a label map, the map is painted on, and only what was changed is painted
 * anew. While the hand moves the page lays the painting over the photo itself; when it rests the server puts the two
 * together as they will be downloaded.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {import("../document/document.js").Change} Change
 * @typedef {{photo: Blob, model: string, map: Uint8Array, newMap: Uint8Array, region: Uint8Array, seed: number,
 *   style: readonly number[] | null, format: "png" | "webp" | "jpeg", quality?: number}} Edit
 * @typedef {{
 *   segment: (wanted: {photo: Blob, model: string, maxSide: number}) =>
 *     Promise<{map: Uint8Array, width: number, height: number}>,
 *   styleOf: (wanted: {photo: Blob, model: string}) => Promise<{style: number[]}>,
 *   edit: (edit: Edit, signal?: AbortSignal) => Promise<Blob>,
 *   sizeOf: (photo: Blob) => Promise<{width: number, height: number}>,
 *   reduced: (photo: Blob, side: number) => Promise<Blob>,
 *   show: (photo: Blob | null, size: {width: number, height: number}) => Promise<void>,
 *   cover: (edited: Uint8Array) => void,
 *   settle: (picture: Blob | null, signal?: AbortSignal) => Promise<void>,
 *   encoded: (photo: Blob, how: {format: Edit["format"], quality?: number}) => Promise<Blob>,
 *   share: (share: number) => void,
 * }} PhotoPorts `sizeOf` and `reduced` reject when the browser cannot read the photo; `settle` shows a finished photo
 *   unless the signal is aborted first, and without one lets go of it at once; `share`: of the photo is painted over, 0…1
 */
import { t } from "../core/i18n.js";
import { newId, newSeed } from "../core/ids.js";
import { markEdited } from "../document/edited.js";
import { DocumentError } from "../document/errors.js";
import { exportMap, importMap } from "../document/exchange.js";
import { bounds } from "../document/labelmap.js";
import { encodePng } from "../document/png.js";
import { noticeOf } from "./studio.js";

/** The longer side of a photo's label map: fine enough for outlines, and still painted live on a laptop. */
const MAP_SIDE = 640;
/** The longer side of the photo that a look at the finished edit is put together from. */
const LOOK_SIDE = 1280;
/** Milliseconds that a hand rests before that look is asked for. */
const REST = 600;
const FIRST_SEED = 7;
/** What the mask of a region is exported with: black, and white for 1. */
const MASK_PALETTE = new Uint8Array(768).fill(255, 3);

export class PhotoEditing {
  /**
   * @param {Studio} studio
   * @param {PhotoPorts} ports
   */
  constructor(studio, ports) {
    this.studio = studio;
    this.ports = ports;
    /** @type {LabelDocument | null} the painting whose photo is shown */
    this.document = null;
    /** 1 where the painting covers the photo. */
    this.edited = new Uint8Array(0);
    this.stale = false;
    /** Resolved when the photo on the easel, if there is one, can be painted over on the screen. @type {Promise<void>} */
    this.ready = Promise.resolve();
    /** The photo with its changes as it will be, while that is known. @type {Blob | null} */
    this.finished = null;
    /** Counts photos that were opened, so that only the last one comes onto the easel. */
    this.opened = 0;
    this.applying = false;
    /** The photo as the look is made from it. @type {Promise<Blob> | null} */
    this.look = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.resting = undefined;
    this.asking = new AbortController();
  }

  /**
   * A photo as a new painting.
   *
   * @param {File | Blob} photo
   * @param {string} title
   */
  async open(photo, title) {
    const { studio, ports } = this;
    const turn = ++this.opened;
    studio.ports.say({ what: t("Reading the photo…"), key: "new", lasting: true });
    try {
      const size = await ports.sizeOf(photo);
      const { id: model, label_set: labelSet, encodes_styles: encodes } = studio.model;
      const segments = await ports.segment({ photo, model, maxSide: MAP_SIDE });
      const seen = await importMap(segments.map, labelSet);
      const code = encodes ? (await ports.styleOf({ photo, model })).style : null;
      if (turn !== this.opened) return;
      studio.startPhoto({
        id: newId(),
        title,
        map: { ...seen, data: seen.data.slice() },
        labelSet,
        seed: FIRST_SEED,
        code,
        source: { blob: photo, ...size, map: seen },
        touched: true,
      });
    } catch (error) {
      if (turn !== this.opened) return;
      studio.ports.say({ ...noticeOf(error, t("The photo could not be opened.")), key: "new" });
    }
  }

  /**
   * What is on the easel now; its photo is shown, or none.
   *
   * @param {LabelDocument} painting
   */
  follow(painting) {
    if (painting === this.document || (!painting.source && !this.document)) return;
    this.#stop();
    this.document = painting.source ? painting : null;
    this.look = null;
    const { width, height } = painting.map;
    this.edited = new Uint8Array(width * height);
    this.ready = this.ports
      .show(painting.source?.blob ?? null, { width, height })
      .then(() => {
        if (painting === this.document) this.changed({ rect: bounds(painting.map) });
      })
      .catch((error) =>
        this.studio.ports.say(noticeOf(error, t("The photo under this painting cannot be shown."))),
      );
  }

  /** @param {Pick<Change, "rect"> & {light?: boolean}} change of the painting on the easel */
  changed({ rect, light = false }) {
    if (!this.document) return;
    this.#stop();
    if (light && !this.edited.includes(1)) {
      this.studio.ports.say({
        what: t("The photo keeps its own light."),
        why: t("Lights fall on what is painted over it, and nothing is yet."),
        key: "photo-light",
      });
    }
    if (!rect) return;
    markEdited(this.document, rect, this.edited);
    this.stale = true;
  }

  /** To be called before a picture is laid over the photo. */
  refresh() {
    if (!this.stale) return;
    this.stale = false;
    this.ports.cover(this.edited);
  }

  /** A picture of the newest state has been shown: if the hand rests, have a look at how it will be. */
  settled() {
    clearTimeout(this.resting);
    // What is under way may be another model's.
    this.asking.abort();
    if (!this.document) return;
    const painted = this.edited.reduce((sum, one) => sum + one, 0);
    this.ports.share(painted / this.edited.length);
    if (painted > 0) this.resting = setTimeout(() => this.#look(), REST);
  }

  /** @param {LabelDocument} painting @returns {boolean} whether anything is painted over its photo */
  covers(painting) {
    return editedOf(painting).includes(1);
  }

  /**
   * The finished photo, in its own size; where nothing is painted over it that is the photo itself.
   *
   * @param {LabelDocument} painting
   * @param {{format: Edit["format"], quality?: number}} how
   * @returns {Promise<Blob>}
   */
  async export(painting, how) {
    const { source } = painting;
    if (!source)
      throw new DocumentError("There is no photo under this painting.", "It began with labels.", "");
    if (!this.covers(painting)) return this.ports.encoded(source.blob, how);
    return this.ports.edit({ ...(await this.#editOf(painting)), photo: source.blob, ...how });
  }

  /**
   * The finished photo becomes the one that is edited on; what was painted into it is part of it. What is painted while
   * the server puts it together is painted on it.
   */
  async apply() {
    const { studio } = this;
    studio.hand.settle();
    const { document: painting } = studio;
    const { source, map, edits, labelSet, title } = painting;
    if (!source || !edits || this.applying) return;
    const [seen, done] = [map, edits].map((plane) => ({ ...plane, data: plane.data.slice() }));
    this.applying = true;
    try {
      const blob = await this.ports.edit({
        ...(await this.#editOf(painting)),
        photo: source.blob,
        format: "png",
      });
      // Whoever has gone to another painting stays there.
      if (studio.document !== painting) return;
      studio.hand.settle();
      studio.startPhoto(
        {
          id: newId(),
          title,
          map: { ...map, data: map.data.slice() },
          labelSet,
          ...painting.light,
          source: { ...source, blob, map: seen },
          edits: { ...edits, data: edits.data.map((anew, i) => (anew && !done.data[i] ? 1 : 0)) },
          touched: true,
        },
        t("The changes are part of the photo now."),
      );
    } catch (error) {
      studio.ports.say(noticeOf(error, t("The changes could not be applied.")));
    } finally {
      this.applying = false;
    }
  }

  /** Paint what is selected anew, as something else of the same kind; without a selection, all that is painted. */
  another() {
    const { studio } = this;
    studio.hand.settle();
    const { document: painting } = studio;
    const { selection, edits } = painting;
    if (!selection && !this.covers(painting)) {
      studio.hand.easel.refused(nothingChanged());
      return;
    }
    if (selection && edits) {
      const gesture = painting.begin(1, "edits");
      gesture.put(bounds(edits), new Uint8Array(edits.data.length).fill(1), selection.data);
      gesture.commit();
    }
    painting.setLight({ seed: newSeed(painting.seed) });
  }

  #stop() {
    clearTimeout(this.resting);
    this.asking.abort();
    this.finished = null;
    this.ports.settle(null);
  }

  async #look() {
    const painting = this.document;
    const photo = painting?.source?.blob;
    if (!painting || !photo) return;
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      this.look ??= this.ports.reduced(photo, LOOK_SIDE);
      const edit = {
        ...(await this.#editOf(painting, signal)),
        photo: await this.look,
        format: /** @type {const} */ ("webp"),
      };
      const picture = await this.ports.edit(edit, signal);
      if (signal.aborted) return;
      this.finished = picture;
      await this.ports.settle(picture, signal);
    } catch {
      // The quick look stays; whether the server is there the status line says.
    }
  }

  /** @param {LabelDocument} painting @param {AbortSignal} [signal] */
  async #editOf(painting, signal) {
    const { studio } = this;
    const { source, map, labelSet, seed } = painting;
    if (!source) throw new Error("there is no photo");
    const edited = editedOf(painting);
    if (!edited.includes(1)) throw nothingChanged();
    const { model } = studio;
    const convert = studio.converterFor(labelSet);
    // Read before anything is waited for: a hand may go on painting.
    const [seen, wished] = [source.map, map].map(({ data }) => ({ ...map, data: convert(data.slice()) }));
    const style = studio.codeFor(painting);
    return {
      model: model.id,
      seed,
      style: style ?? (await this.#lightOf(seed, model, signal)),
      map: await exportMap(seen, model.label_set),
      newMap: await exportMap(wished, model.label_set),
      region: await encodePng({ ...map, data: edited }, MASK_PALETTE),
    };
  }

  /**
   * The code of a seed's own light, which is what the page shows where none was chosen: an edit without a style would
   * be painted in the light of the photo.
   *
   * @param {number} seed
   * @param {import("./studio.js").Model} model
   * @param {AbortSignal} [signal]
   */
  async #lightOf(seed, model, signal) {
    const { studio } = this;
    if (model.style_dim === 0) return null;
    return (await studio.ports.paintSmall(await studio.smallRequest({ seed, code: null }), signal)).code;
  }
}

/** @param {LabelDocument} painting @returns {Uint8Array} 1 where it covers its photo */
function editedOf(painting) {
  const edited = new Uint8Array(painting.map.data.length);
  markEdited(painting, bounds(painting.map), edited);
  return edited;
}

function nothingChanged() {
  return new DocumentError(
    "Nothing of the photo is changed yet.",
    "No label differs from what was seen in it.",
    "Paint on the map first.",
  );
}
