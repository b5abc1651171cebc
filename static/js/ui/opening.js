/**
 * Files that become paintings: projects, layers, label maps in this set or another, pictures that carry their map, and
 * photos. Nothing on the easel changes before a file is understood whole.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {import("../document/exchange.js").Converted} Converted
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 * @typedef {import("../document/png.js").IdImage} IdImage
 * @typedef {import("../document/png.js").RgbImage} RgbImage
 */
import { t, term } from "../core/i18n.js";
import { newId } from "../core/ids.js";
import { DocumentError } from "../document/errors.js";
import { convertMap, fitMap, readImage, readMap, recognise } from "../document/exchange.js";
import { sameSet } from "../document/labelset.js";
import { isOpenRaster, readOpenRaster } from "../document/openraster.js";
import { isPng, readText } from "../document/png.js";
import { PROJECT_ENDING, readPicture, readProject } from "../document/project.js";
import { isZip } from "../document/zip.js";
import { buttonOf, dialogOf } from "./dialog.js";
import { make } from "./dom.js";
import { noticeOf } from "./studio.js";

/** What the page offers to open. */
export const OPENED = `image/*,.png,.jpg,.jpeg,.webp,.ora,${PROJECT_ENDING}`;

const MAX_BYTES = 256 * 1024 * 1024;
const MAX_TEXT = 64 * 1024 * 1024;
const FIRST_SEED = 7;
/** A picture with more colours than any label set has is a photo. */
const MOST_COLORS = 256;

export class Opening {
  /**
   * @param {Studio} studio
   * @param {{
   *   choose: (types: string) => Promise<File | null>,
   *   labelSets: () => Promise<LabelSet[]>,
   *   sizeOf: (photo: Blob) => Promise<{width: number, height: number}>,
   *   showKept: (photo: Blob) => void,
   * }} ports `labelSets`: those that are known beside the models' own; `showKept`: a picture that stays until the painting
   *   changes
   */
  constructor(studio, ports) {
    this.studio = studio;
    this.ports = ports;
    /** @type {SetDialog | null} */
    this.dialog = null;
  }

  /** @param {File | null} [given] a file that was dropped or pasted; asks for one otherwise */
  async open(given) {
    const file = given ?? (await this.ports.choose(OPENED));
    if (!file) return;
    try {
      await this.#open(file);
    } catch (error) {
      this.studio.ports.say({ ...noticeOf(error, t("The file could not be opened.")), key: "open" });
    }
  }

  /**
   * @param {Uint8Array} bytes
   * @param {string} [said] instead of what is said of a file
   */
  async openProject(bytes, said) {
    const { studio } = this;
    const { painting, model, photo } = await readProject(bytes, newId);
    if (painting.source) Object.assign(painting.source, await this.ports.sizeOf(painting.source.blob));
    const known = studio.state.models.find(({ id }) => id === model?.id);
    studio.startOpened(painting, said ?? t("{title} is open.", { title: painting.title }), known?.id);
    const differences = this.#differences(painting, model, known);
    if (differences.length === 0) return;
    if (photo)
      this.ports.showKept(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (photo)], { type: "image/png" }));
    studio.ports.say({
      what: t("This server paints {title} differently.", { title: painting.title }),
      why: differences.join(" "),
      next: photo ? t("You see the picture as it was saved, until you paint.") : "",
      key: "elsewhere",
      lasting: true,
    });
  }

  /** @param {File} file */
  async #open(file) {
    if (file.size > MAX_BYTES) {
      throw new DocumentError(
        "This file is too large.",
        "It has more than {size} MB.",
        "Make it smaller, and open it again.",
        { size: MAX_BYTES / 1024 / 1024 },
      );
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (isZip(bytes)) await (isOpenRaster(bytes) ? this.#openLayers(bytes, file) : this.openProject(bytes));
    else if (isPng(bytes)) await this.#openPng(bytes, file);
    else if (file.type.startsWith("image/")) await this.studio.openPhoto(file);
    else {
      throw new DocumentError(
        "This file cannot be opened.",
        "It is neither a picture nor a project.",
        "Open a project, a label map, an OpenRaster file, or a photo.",
      );
    }
  }

  /** @param {Uint8Array} bytes @param {File} file */
  async #openLayers(bytes, file) {
    const { label_set: labelSet } = this.studio.model;
    const layers = await readOpenRaster(bytes, this.studio.state.document?.labelSet ?? labelSet, newId);
    this.#start({
      ...this.#newPainting(titleOf(file), this.studio.state.document?.labelSet ?? labelSet),
      map: layers[0].map,
      layers,
    });
  }

  /** @param {Uint8Array} bytes @param {File} file */
  async #openPng(bytes, file) {
    const said = await readText(bytes, "scenebrush", MAX_TEXT);
    const carried = said && (await readPicture(said, newId));
    if (carried) {
      const { painting, model } = carried;
      const known = this.studio.state.models.find(({ id }) => id === model);
      this.#start({ ...painting, title: titleOf(file) }, known?.id);
      return;
    }
    const image = await readImage(bytes).catch((error) => {
      // What no label map can be may well be a photo.
      if (error instanceof DocumentError && said === null && !isLabelLike(bytes)) return null;
      throw error;
    });
    if (!image || isPhoto(image)) await this.studio.openPhoto(file);
    else await this.#openMap(image, file);
  }

  /** @param {IdImage | RgbImage} image @param {File} file */
  async #openMap(image, file) {
    const { studio } = this;
    const { label_set: own } = studio.model;
    const sets = [own, ...studio.state.models.map((model) => model.label_set)];
    let found = recognise(image, sets);
    const sure = found[0]?.sure && sameSet(found[0].set, own);
    if (!sure) found = recognise(image, [...sets, ...(await this.ports.labelSets().catch(() => []))]);
    // Says what is wrong, in the terms of the model's own set.
    if (found.length === 0) readMap(image, own);
    let set = found[0].set;
    if (!sure) {
      this.dialog ??= new SetDialog();
      const chosen = await this.dialog.ask(image, found, own);
      if (!chosen) return;
      set = chosen;
    }
    const map = readMap(image, set);
    const painting = this.#newPainting(titleOf(file), own);
    this.#start({ ...painting, map: sameSet(set, own) ? map : convertMap(map, set, own).map });
  }

  /** @param {string} title @param {LabelSet} labelSet */
  #newPainting(title, labelSet) {
    return { id: newId(), title, labelSet, seed: FIRST_SEED, touched: true };
  }

  /**
   * Made smaller where the model cannot paint it.
   *
   * @param {Painting} painting
   * @param {string} [model]
   */
  #start(painting, model) {
    const { studio } = this;
    const { max_side: maxSide, max_pixels: maxPixels } = studio.model;
    const { largest_width: maxWidth, largest_height: maxHeight } = studio.model;
    const fit = (/** @type {Painting["map"]} */ map) =>
      fitMap(map, { maxSide, maxPixels, maxWidth, maxHeight });
    const map = fit(painting.map);
    const { width, height } = map;
    const { title } = painting;
    const said =
      map === painting.map
        ? t("{title} is open.", { title })
        : t("{title} is open. It was larger than the model can paint and is now {width} × {height}.", {
            title,
            width,
            height,
          });
    const layers = painting.layers?.map((layer) => ({ ...layer, map: fit(layer.map) }));
    const styles = painting.styles && fit(painting.styles);
    studio.startOpened({ ...painting, map, layers, styles }, said, model);
  }

  /**
   * Why a painting would not look here as it did where it was saved.
   *
   * @param {Painting} painting
   * @param {{id: string, name: string} | null} made
   * @param {import("./studio.js").Model | undefined} here
   * @returns {string[]}
   */
  #differences(painting, made, here) {
    if (!made) return [];
    if (!here) {
      const { name } = made;
      return [
        t("It was painted by the model {name}, which is not here; {other} paints it.", {
          name,
          other: this.studio.model.name,
        }),
      ];
    }
    const found = [];
    if (!sameSet(here.label_set, painting.labelSet)) {
      found.push(t("The model {name} has other labels here.", { name: here.name }));
    }
    const { style, code, regions = [] } = painting;
    if (style && !code && !here.styles.some(({ id }) => id === style)) {
      found.push(t("The model {name} has no light called {style} here.", { name: here.name, style }));
    }
    const codes = [code, ...regions.map((region) => region.code)].filter(Boolean);
    if (codes.some((one) => one?.length !== here.style_dim)) {
      found.push(t("The model {name} has other lights here.", { name: here.name }));
    }
    return found;
  }
}

/** Asks in which label set a map is, and shows what will become of its labels. */
class SetDialog {
  constructor() {
    this.select = make("select", { id: "set-choice" });
    this.why = make("p", { class: "lead" });
    this.report = make("tbody", {});
    const head = make(
      "tr",
      {},
      ...[t("Label"), t("Pixels"), t("Becomes")].map((name) => make("th", { scope: "col" }, name)),
    );
    const table = make("table", { class: "report" }, make("thead", {}, head), this.report);
    this.lost = make("p", { class: "report-lost" });
    /** @type {(chosen: LabelSet | null) => void} */
    this.answer = () => {};
    /** @type {LabelSet[]} */
    this.sets = [];
    this.dialog = dialogOf(
      "label-set",
      t("Which labels are these?"),
      this.why,
      make("div", { class: "field-row" }, make("label", { for: "set-choice" }, t("Label set")), this.select),
      this.lost,
      make("div", { class: "report-frame", tabindex: "0" }, table),
      make(
        "div",
        { class: "dialog-foot" },
        buttonOf(t("Cancel"), () => this.dialog.close()),
        buttonOf(t("Open"), () => this.#choose(), { class: "button primary" }),
      ),
    );
    this.dialog.classList.add("narrow");
    this.dialog.addEventListener("close", () => this.answer(null));
    this.select.addEventListener("change", () => this.#update());
  }

  /**
   * @param {IdImage | RgbImage} image
   * @param {{set: LabelSet, sure: boolean}[]} found
   * @param {LabelSet} own the set of the model that paints
   * @returns {Promise<LabelSet | null>} null: none, after all
   */
  ask(image, found, own) {
    this.image = image;
    this.own = own;
    this.sets = found.map(({ set }) => set);
    this.why.textContent = found[0].sure
      ? t("The map is in the colours of another label set. It is converted by meaning.")
      : t("The map has numbers and no colours that would tell its label set.");
    this.select.replaceChildren(
      ...found.map(({ set }, i) =>
        make("option", { value: String(i) }, `${set.name} (${set.labels.length})`),
      ),
    );
    this.#update();
    this.dialog.showModal();
    return new Promise((resolve) => {
      this.answer = resolve;
    });
  }

  get chosen() {
    return this.sets[Number(this.select.value)];
  }

  #choose() {
    this.answer(this.chosen);
    this.dialog.close();
  }

  #update() {
    const { image, own, chosen } = this;
    if (!image || !own) return;
    const { report } = convertMap(readMap(image, chosen), chosen, own);
    const total = image.width * image.height;
    const lost = report.filter(({ kind }) => kind === "lost").reduce((sum, { pixels }) => sum + pixels, 0);
    this.lost.textContent =
      lost > 0
        ? t("{share} % of the pixels have labels that {name} has nothing for.", {
            share: Math.max(1, Math.round((lost * 100) / total)),
            name: own.name,
          })
        : t("Every label has a place in {name}.", { name: own.name });
    this.report.replaceChildren(...report.map(line));
  }
}

/** @param {Converted} converted */
function line({ id, name, pixels, to, kind }) {
  const became = make("td", {}, term(to));
  if (kind !== "same") became.append(make("small", {}, kind === "near" ? t("nearest") : t("no match")));
  return make(
    "tr",
    { "data-kind": kind },
    make("th", { scope: "row" }, make("span", { class: "id" }, String(id)), term(name)),
    make("td", { class: "number" }, pixels.toLocaleString("en")),
    became,
  );
}

/** @param {Uint8Array} bytes a PNG @returns {boolean} whether it has a palette, or greys of at most 8 bits */
function isLabelLike(bytes) {
  const [depth, color] = [bytes[24], bytes[25]];
  return color === 3 || (color === 0 && depth <= 8);
}

/** @param {IdImage | RgbImage} image */
function isPhoto({ kind, data }) {
  if (kind !== "rgb") return false;
  const colors = new Set();
  for (let i = 0; i < data.length && colors.size <= MOST_COLORS; i += 3) {
    colors.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return colors.size > MOST_COLORS;
}

/** @param {File} file */
function titleOf(file) {
  return file.name.replace(/\.[^.]*$/, "").replace(/[-_ ]labels$/, "") || t("Painting");
}
