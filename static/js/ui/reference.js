/**
 * A light from a photo: dropped on the panel, or chosen as a file.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { t } from "../core/i18n.js";
import { icon, make } from "./dom.js";
import { noticeOf } from "./studio.js";

const WIDE = 96;

/**
 * @param {HTMLElement} host
 * @param {HTMLElement} target where a photo may be dropped
 * @param {Studio} studio
 */
export function mountReference(host, target, studio) {
  const canvas = make("canvas", { class: "reference-photo", "aria-hidden": "true", hidden: "" });
  const text = make("span", {}, t("Take the light of a photo"));
  const choose = make(
    "button",
    { type: "button", class: "button wide reference" },
    icon("photo-light"),
    canvas,
    text,
  );
  choose.dataset.tip = t("Take the light of a photo");
  choose.dataset.tipHint = t(
    "Drop a picture on this panel, or choose a file: your painting gets its light and season.",
  );
  const input = make("input", {
    type: "file",
    accept: "image/*",
    class: "unseen",
    tabindex: "-1",
    "aria-label": t("Photo"),
  });
  const none = make("p", { class: "quiet", hidden: "" });
  host.append(choose, input, none);
  let asked = 0;

  const take = async (/** @type {File} */ file) => {
    const { model, document: painting } = studio;
    const turn = ++asked;
    // Meanwhile another photo, model or painting may have come.
    const late = () => turn !== asked || model !== studio.model || painting !== studio.document;
    if (model.encodes_styles === false) {
      studio.ports.say({
        what: t("{model} cannot tell the light of a photo.", { model: model.name }),
        next: t("Choose a model that can, or one of the lights that it has."),
        key: "reference",
      });
      return;
    }
    host.setAttribute("aria-busy", "true");
    try {
      const code = await studio.ports.readStyle(file, model.id);
      if (late()) return;
      await showPhoto(canvas, file);
      if (late()) return;
      text.textContent = file.name;
      await studio.lights.choose({ title: file.name.replace(/\.[^.]*$/, ""), style: null, code });
    } catch (error) {
      studio.ports.say({ ...noticeOf(error, t("The photo’s light could not be read.")), key: "reference" });
    } finally {
      if (turn === asked) host.removeAttribute("aria-busy");
    }
  };

  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) take(file);
    input.value = "";
  });

  target.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    target.dataset.dropping = "";
  });
  target.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!target.contains(/** @type {Node | null} */ (relatedTarget))) delete target.dataset.dropping;
  });
  target.addEventListener("drop", (event) => {
    delete target.dataset.dropping;
    const file = event.dataTransfer?.files[0];
    if (!file || host.hidden) return;
    // Elsewhere on the page a dropped picture is opened.
    event.preventDefault();
    take(file);
  });

  studio.store.watch(["model", "models"], ({ models }) => {
    if (models.length === 0) return;
    const able = studio.model.encodes_styles !== false;
    choose.hidden = !able;
    none.hidden = able;
    none.textContent = t("{model} cannot tell the light of a photo.", { model: studio.model.name });
  });
}

/** @param {HTMLCanvasElement} canvas @param {Blob} photo */
async function showPhoto(canvas, photo) {
  const bitmap = await createImageBitmap(photo, { resizeWidth: WIDE, resizeQuality: "medium" });
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.hidden = false;
}
