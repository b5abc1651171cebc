/**
 * The size of the canvas: for paintings that are begun, and for a copy of the one on the easel.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./sizes.js").Size} Size
 */
import { t } from "../core/i18n.js";
import { resizedCopy } from "../document/resize.js";
import { byId, make } from "./dom.js";
import { closeOnBackdrop } from "./help.js";
import { inLimits, limitsOf, objection, remark, SHAPES, same, sizeOfShape, usualSizes } from "./sizes.js";

/** @param {Studio} studio */
export function mountCanvasSize(studio) {
  const dialog = byId("canvas-size", HTMLDialogElement);
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const shapes = byId("canvas-shapes", HTMLElement);
  const width = byId("canvas-width", HTMLInputElement);
  const height = byId("canvas-height", HTMLInputElement);
  const note = byId("canvas-note", HTMLElement);
  const copy = byId("canvas-copy", HTMLButtonElement);
  const blank = byId("canvas-blank", HTMLButtonElement);
  const fits = byId("canvas-fit", HTMLElement);

  const size = () => ({ width: Number(width.value), height: Number(height.value) });

  const set = (/** @type {Size} */ to) => {
    width.value = String(to.width);
    height.value = String(to.height);
    check();
  };

  const check = () => {
    const { model, document: painting } = studio.state;
    if (!model || !painting) return;
    const now = size();
    const wrong = objection(now, studio.model);
    const longer = Math.max(now.width, now.height);
    const shape = SHAPES.findIndex(({ aspect }) => same(now, sizeOfShape(longer, aspect)));
    for (const [i, button] of [...shapes.children].entries()) {
      button.setAttribute("aria-pressed", String(i === shape));
    }
    const { map, source } = painting;
    const sameShape =
      Math.abs(now.width * map.height - now.height * map.width) < Math.max(map.width, map.height);
    note.textContent =
      wrong ||
      remark(now, studio.model) ||
      (source ? t("A painting over a photo keeps the photo’s shape.") : "");
    note.dataset.tone = wrong ? "bad" : "";
    fits.hidden = sameShape || Boolean(source);
    blank.disabled = wrong !== "";
    copy.disabled = wrong !== "" || same(now, map) || Boolean(source);
  };

  shapes.append(
    ...SHAPES.map(({ name, aspect }) => {
      const button = shapeButton(aspect, name);
      button.addEventListener("click", () =>
        set(inLimits(Math.max(size().width, size().height), aspect, studio.model)),
      );
      return button;
    }),
  );
  form.addEventListener("input", check);
  form.addEventListener("submit", (event) => event.preventDefault());

  blank.addEventListener("click", () => {
    dialog.close();
    studio.startBlank(size());
  });
  copy.addEventListener("click", () => {
    dialog.close();
    studio.startCopy(resizedCopy(studio.document, size(), fitOf(form)));
  });
  closeOnBackdrop(dialog);

  return {
    show() {
      if (!studio.state.document || studio.state.models.length === 0) return;
      const { least, most } = limitsOf(studio.model);
      for (const field of [width, height]) {
        field.min = String(least);
        field.max = String(most);
      }
      const { map } = studio.document;
      set({ width: map.width, height: map.height });
      dialog.showModal();
      width.select();
    },
  };
}

/** @param {HTMLFormElement} form @returns {"stretch" | "crop"} */
function fitOf(form) {
  return new FormData(form).get("fit") === "stretch" ? "stretch" : "crop";
}

/**
 * Where a painting is begun: which size it gets. The first choice is the model's own.
 *
 * @param {Studio} studio
 * @param {() => void} askForOther opens the dialog for any other size
 */
export function mountNewSize(studio, askForOther) {
  const host = byId("start-size", HTMLElement);
  const mark = (/** @type {Element | undefined} */ chosen) => {
    for (const button of host.children) button.setAttribute("aria-pressed", String(button === chosen));
  };
  studio.store.watch(["model", "models"], ({ models }) => {
    if (models.length === 0) return;
    studio.newSize = null;
    const sizes = usualSizes(studio.model).map((size) => {
      const { name, width, height } = size;
      const pixels = `${width} × ${height}`;
      const button = shapeButton(width / height, name || pixels, name ? pixels : "");
      button.addEventListener("click", () => {
        studio.newSize = { width, height };
        mark(button);
      });
      return button;
    });
    const other = shapeButton(0, t("Other…"));
    other.addEventListener("click", askForOther);
    host.replaceChildren(...sizes, other);
    mark(sizes[0]);
  });
}

/**
 * A button with a picture of a shape.
 *
 * @param {number} aspect width over height; 0 for any
 * @param {string} name
 * @param {string} [pixels] a second line
 */
function shapeButton(aspect, name, pixels = "") {
  const picture = make("span", { class: "shape", "aria-hidden": "true" });
  picture.style.aspectRatio = String(aspect || 1);
  picture.toggleAttribute("data-any", aspect === 0);
  const button = make(
    "button",
    { type: "button", class: "shape-button" },
    picture,
    name === "1 : 1" ? t("Square") : name,
  );
  if (pixels) button.append(make("span", { class: "shape-pixels" }, pixels));
  return button;
}
