/**
 * The start dialog: starter scenes, an empty canvas, and the paintings that this browser keeps.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/scene.js").Scene} Scene
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {(canvas: HTMLCanvasElement, painting: Pick<Painting, "map" | "labelSet">) => void} Draw
 */
import { t, term } from "../core/i18n.js";
import { createMap } from "../document/labelmap.js";
import { idOfMeaning } from "../document/labelset.js";
import { drawScene } from "../document/scene.js";
import { byId, make } from "./dom.js";
import { closeOnBackdrop } from "./help.js";
import { shownTitle } from "./titles.js";

const THUMB = 192;
const KEPT_SHOWN = 12;

/**
 * @param {Studio} studio
 * @param {{scenes: Scene[], draw: Draw, gallery: () => import("./gallery.js").Gallery}} given
 */
export function mountStart(studio, { scenes, draw, gallery }) {
  const dialog = byId("start", HTMLDialogElement);
  const sceneHost = byId("start-scenes", HTMLElement);
  const keptHost = byId("start-kept", HTMLElement);
  const keptPart = byId("start-kept-part", HTMLElement);

  const card = (/** @type {string} */ id, /** @type {string} */ title, /** @type {() => void} */ run) => {
    const frame = make("span", { class: "card-frame" });
    const button = make(
      "button",
      { type: "button", class: "card", "data-card": id },
      frame,
      make("span", { class: "card-title" }, title),
    );
    button.addEventListener("click", () => {
      dialog.close();
      run();
    });
    return { button, frame };
  };

  const drawn = (
    /** @type {string} */ id,
    /** @type {string} */ title,
    /** @type {Pick<Painting, "map" | "labelSet">} */ painting,
    /** @type {() => void} */ run,
  ) => {
    const { button, frame } = card(id, title, run);
    const canvas = make("canvas", { "aria-hidden": "true" });
    frame.append(canvas);
    draw(canvas, painting);
    return button;
  };

  const showScenes = () => {
    const { label_set: labelSet, native_width, native_height } = studio.model;
    // A card shows the middle square of it.
    const scale = THUMB / Math.min(native_width, native_height);
    const [width, height] = [native_width, native_height].map((side) => Math.round(side * scale));
    const sky = createMap(1, 1, idOfMeaning(labelSet, { name: "sky" }));
    sceneHost.replaceChildren(
      drawn("blank", t("Empty (clear sky)"), { map: sky, labelSet }, () => studio.startBlank()),
      ...scenes.map((scene) =>
        drawn(scene.id, term(scene.title), { map: drawScene(scene, width, height, labelSet), labelSet }, () =>
          studio.startScene(scene),
        ),
      ),
    );
  };

  const showKept = async () => {
    const here = studio.state.document?.id;
    const heads = (await gallery().heads()).filter(({ id }) => id !== here);
    keptPart.hidden = heads.length === 0;
    const cards = heads.slice(0, KEPT_SHOWN).map(({ id, title }) => {
      const { button, frame } = card(id, shownTitle(title), () => gallery().open(id));
      gallery()
        .pictureOf(id)
        .then((picture) => frame.append(picture))
        .catch(() => {});
      return button;
    });
    keptHost.replaceChildren(...cards);
  };

  closeOnBackdrop(dialog);
  return {
    show() {
      if (studio.state.models.length > 0) showScenes();
      showKept();
      dialog.showModal();
      sceneHost.querySelector("button")?.focus();
    },
  };
}
