/**
 * Paintings as files: the photo, the label map, the layers, and the project that holds everything.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").Wanted} Wanted
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {"png" | "jpeg" | "webp"} Format
 * @typedef {{format: Format, quality?: number, width?: number, height?: number, embedMap?: boolean}} Output what a photo
 *   is to be like; PNG loses nothing; `embedMap`: so that the painting can be opened again from the PNG
 */
import { t } from "../core/i18n.js";
import { exportMap } from "../document/exchange.js";
import { OPENRASTER_TYPE, packOpenRaster } from "../document/openraster.js";
import { PROJECT_ENDING, PROJECT_TYPE, packProject } from "../document/project.js";
import { buttonOf, dialogOf } from "./dialog.js";
import { make } from "./dom.js";
import { noticeOf } from "./studio.js";

const ENDINGS = { png: "png", jpeg: "jpg", webp: "webp" };
const FORMATS = /** @type {[Format, string, string][]} */ ([
  ["png", "PNG", t("Loses nothing")],
  ["jpeg", "JPEG", t("Small, opens everywhere")],
  ["webp", "WebP", t("Smallest")],
]);
/** How much larger than the label map a photo may be asked for. */
const SCALES = [1, 1.5, 2, 3, 4];
const THUMBNAIL = 256;

export class Exporting {
  /**
   * @param {Studio} studio
   * @param {{
   *   fetchPicture: (wanted: Wanted & Partial<Output>) => Promise<Blob>,
   *   shownPicture: () => Blob | null,
   *   pngOf: (photo: Blob, side?: number) => Promise<Blob>,
   *   download: (file: Blob, name: string) => void,
   *   createdOf: (document: LabelDocument) => number,
   *   version: string,
   * }} ports `fetchPicture` rejects when the server cannot be reached
   */
  constructor(studio, ports) {
    this.studio = studio;
    this.ports = ports;
    /** @type {ExportDialog | null} */
    this.dialog = null;
  }

  show() {
    this.dialog ??= new ExportDialog(this);
    this.dialog.show();
  }

  /** @param {Output} [output] */
  async photo(output = { format: "png" }) {
    const { document } = this.studio;
    try {
      const photo = await this.#paint(document, output);
      const name = `${fileName(document.title)}.${ENDINGS[output.format]}`;
      this.ports.download(photo, name);
      this.#sayDownloaded(document, name, output);
    } catch (error) {
      this.#photoAsShown(document, error);
    }
  }

  /**
   * What came, and how large it is: nobody sees that in a file's name.
   *
   * @param {LabelDocument} document
   * @param {string} name of the file
   * @param {Output} output
   */
  #sayDownloaded(document, name, output) {
    const own = document.source ?? document.map;
    const { width = own.width, height = own.height } = output;
    const larger = !document.source && output.width === undefined;
    this.studio.ports.say({
      what: t("Downloaded {name}.", { name }),
      why: t("It has {width} × {height} pixels.", { width, height }),
      key: "download",
      ...(larger && { action: { title: t("Larger, or another format…"), run: () => this.show() } }),
    });
  }

  async map() {
    const { map, labelSet, title } = this.studio.document;
    this.#save(await exportMap(map, labelSet), "image/png", `${fileName(title)}-labels.png`);
  }

  async openRaster() {
    const { document } = this.studio;
    this.#save(
      await packOpenRaster(document, Date.now()),
      OPENRASTER_TYPE,
      `${fileName(document.title)}.ora`,
    );
  }

  /**
   * @param {LabelDocument} [document]
   * @param {string | null} [model]
   */
  async project(document = this.studio.document, model = this.studio.state.model) {
    const bytes = await this.pack(document, model);
    this.#save(bytes, PROJECT_TYPE, `${fileName(document.title)}${PROJECT_ENDING}`);
  }

  /**
   * A painting as a project, with its photo where that can be had.
   *
   * @param {LabelDocument} document
   * @param {string | null} model
   * @returns {Promise<Uint8Array>}
   */
  async pack(document, model) {
    const { state } = this.studio;
    const known = state.models.find(({ id }) => id === model);
    const photo = await this.#photoToKeep(document, model);
    return packProject(document, {
      model: known ? { id: known.id, name: known.name } : null,
      photo: photo && (await bytesOf(photo)),
      photoOf: photo && known ? { model: known.id, seed: document.seed } : null,
      thumbnail: photo && (await bytesOf(await this.ports.pngOf(photo, THUMBNAIL))),
      created: this.ports.createdOf(document),
      updated: Date.now(),
      app: this.ports.version,
    });
  }

  /** @param {LabelDocument} document @param {Output} output */
  async #paint(document, output) {
    const { format, quality } = output;
    if (document.source) return this.studio.ports.photo().export(document, { format, quality });
    return this.ports.fetchPicture({ ...(await this.studio.requestOf(document)), ...output });
  }

  /**
   * Exactly as it is now, else as it was last shown, else none.
   *
   * @param {LabelDocument} document
   * @param {string | null} model
   */
  async #photoToKeep(document, model) {
    const { state } = this.studio;
    // The photo itself is kept anyway.
    if (document.source && !this.studio.ports.photo().covers(document)) return null;
    try {
      // Another piece is painted by the model on the easel, which need not be its own.
      if (model === state.model)
        return await this.ports.pngOf(await this.#paint(document, { format: "png" }));
    } catch {
      // The project is worth more than its picture.
    }
    // The server's last picture of an edited photo shows the painting alone, which nobody has ever seen so.
    const here = document === state.document && !document.source;
    const shown = here ? this.ports.shownPicture() : null;
    return shown && this.ports.pngOf(shown).catch(() => null);
  }

  /**
   * The server cannot give the exact picture now: better the one on the screen than none.
   *
   * @param {LabelDocument} document
   * @param {unknown} error
   */
  #photoAsShown(document, error) {
    const shown = document.source ? null : this.ports.shownPicture();
    if (!shown) {
      this.studio.ports.say(noticeOf(error, t("There is no photo to download yet.")));
      return;
    }
    const format = /** @type {Format} */ (shown.type.slice(6));
    const { what: reason, next } = noticeOf(error, "");
    this.ports.download(shown, `${fileName(document.title)}.${ENDINGS[format]}`);
    this.studio.ports.say({
      what: t("Saved the photo as it was last shown."),
      why: t("The exact picture could not be fetched: {reason}", { reason }),
      next,
      key: "download",
    });
  }

  /** @param {Uint8Array} bytes @param {string} type @param {string} name */
  #save(bytes, type, name) {
    this.ports.download(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)], { type }), name);
  }
}

class ExportDialog {
  /** @param {Exporting} exporting */
  constructor(exporting) {
    this.exporting = exporting;
    this.formats = make("div", { class: "choices", role: "radiogroup", "aria-label": t("Format") });
    for (const [format, name, hint] of FORMATS) {
      const input = make("input", { type: "radio", name: "export-format", value: format });
      input.checked = format === "png";
      this.formats.append(
        make(
          "label",
          { class: "choice" },
          input,
          make("span", { class: "choice-name" }, name),
          make("small", {}, hint),
        ),
      );
    }
    this.quality = make("input", { type: "range", id: "export-quality", min: "40", max: "100", value: "92" });
    this.qualityText = make("output", { for: "export-quality" });
    this.qualityRow = row(t("Quality"), "export-quality", this.quality, this.qualityText);
    this.size = make("select", { id: "export-size" });
    this.sizeRow = row(t("Size"), "export-size", this.size);
    this.embed = make("input", { type: "checkbox", id: "export-embed" });
    this.embed.checked = true;
    this.embedRow = make(
      "label",
      { class: "check" },
      this.embed,
      make("span", {}, t("Put the label map into the file: opened here again, it can be painted on.")),
    );
    const save = buttonOf(t("Download the photo"), () => this.#photo(), {
      class: "button primary",
      icon: "save-photo",
    });
    this.dialog = dialogOf(
      "export",
      t("Export"),
      make("h3", {}, t("Photo")),
      this.formats,
      this.qualityRow,
      this.sizeRow,
      this.embedRow,
      make(
        "p",
        { class: "fine" },
        t("The file says that the picture is synthetic, and what it was painted with."),
      ),
      save,
      make("h3", {}, t("Painting")),
      make(
        "div",
        { class: "ways" },
        this.#way(
          "save-map",
          t("Label map"),
          t("A palette PNG: every pixel is the number of its label."),
          () => exporting.map(),
        ),
        this.#way(
          "layers",
          t("Layers"),
          t("OpenRaster, for Krita, GIMP or MyPaint, in the labels’ colours."),
          () => exporting.openRaster(),
        ),
        this.#way(
          "save-project",
          t("Project"),
          t("Everything: layers, lights, seed, and the photo. Opens again as it is."),
          () => exporting.project(),
        ),
      ),
    );
    this.dialog.classList.add("narrow");
    this.dialog.addEventListener("input", () => this.#update());
  }

  show() {
    this.#fillSizes();
    this.#update();
    this.dialog.showModal();
  }

  /** @returns {Format} */
  get format() {
    const chosen = /** @type {HTMLInputElement} */ (this.formats.querySelector("input:checked"));
    return /** @type {Format} */ (chosen.value);
  }

  #update() {
    const { format } = this;
    // Kept in place, so that nothing below moves.
    this.quality.disabled = format === "png";
    this.qualityRow.classList.toggle("off", format === "png");
    this.qualityText.textContent = format === "png" ? "" : this.quality.value;
    const mapFits = format === "png" && !this.exporting.studio.document.source;
    this.embed.disabled = !mapFits;
    this.embedRow.classList.toggle("off", !mapFits);
  }

  /** The sizes in which the model can paint it; a photo keeps its own. */
  #fillSizes() {
    const { document, model } = this.exporting.studio;
    const { width, height } = document.map;
    const fitting = SCALES.map((scale) => [Math.round(width * scale), Math.round(height * scale)]).filter(
      ([w, h], i) => i === 0 || fits(w, h, model),
    );
    this.size.replaceChildren(
      ...fitting.map(([w, h], i) =>
        make(
          "option",
          { value: i === 0 ? "" : `${w}x${h}` },
          i === 0 ? `${w} × ${h}` : t("{size}, painted anew", { size: `${w} × ${h}` }),
        ),
      ),
    );
    this.sizeRow.hidden = document.source !== null;
  }

  #photo() {
    const { format } = this;
    const [width, height] = this.size.value.split("x").map(Number);
    this.exporting.photo({
      format,
      ...(format !== "png" && { quality: Number(this.quality.value) }),
      ...(height && !this.sizeRow.hidden && { width, height }),
      ...(!this.embed.disabled && this.embed.checked && { embedMap: true }),
    });
    this.dialog.close();
  }

  /** @param {string} sign @param {string} name @param {string} hint @param {() => Promise<void>} run */
  #way(sign, name, hint, run) {
    const button = buttonOf(
      "",
      () => {
        run().catch((error) =>
          this.exporting.studio.ports.say(noticeOf(error, t("The file could not be made."))),
        );
        this.dialog.close();
      },
      { class: "way", icon: sign },
    );
    button.dataset.export = sign;
    button.append(make("span", { class: "way-text" }, make("strong", {}, name), make("small", {}, hint)));
    return button;
  }
}

/** @param {number} width @param {number} height @param {import("./studio.js").Model} model */
function fits(width, height, model) {
  const { max_side: side, max_pixels: pixels, largest_width: widest, largest_height: highest } = model;
  if (Math.max(width, height) > side || width * height > pixels) return false;
  return width <= (widest ?? side) && height <= (highest ?? side);
}

/** @param {string} name @param {string} id @param {Node[]} fields */
function row(name, id, ...fields) {
  return make("div", { class: "field-row" }, make("label", { for: id }, name), ...fields);
}

/** @param {Blob} blob */
async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

/** @param {string} title */
export function fileName(title) {
  return (
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "") || "painting"
  );
}
