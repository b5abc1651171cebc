/**
 * The start dialog: starter scenes, a clear sky, and the paintings that this browser keeps.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/scene.js").Scene} Scene
 * @typedef {import("../document/document.js").Painting} Painting
 * @typedef {(canvas: HTMLCanvasElement, painting: Pick<Painting, "map" | "labelSet">) => void} Draw
 */
import { createMap } from "../document/labelmap.js";
import { idOfMeaning } from "../document/labelset.js";
import { drawScene } from "../document/scene.js";
import { byId, make } from "./dom.js";
import { closeOnBackdrop } from "./help.js";

const THUMB = 192;
const KEPT_SHOWN = 12;

/**
 * @param {Studio} studio
 * @param {{scenes: Scene[], draw: Draw, kept: () => Promise<Painting[]>}} given `kept`: the latest first
 */
export function mountStart(studio, { scenes, draw, kept }) {
  const dialog = byId("start", HTMLDialogElement);
  const sceneHost = byId("start-scenes", HTMLElement);
  const keptHost = byId("start-kept", HTMLElement);
  const keptPart = byId("start-kept-part", HTMLElement);

  const card = (
    /** @type {string} */ id,
    /** @type {string} */ title,
    /** @type {Pick<Painting, "map" | "labelSet">} */ painting,
    /** @type {() => void} */ run,
  ) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const button = make(
      "button",
      { type: "button", class: "card", "data-card": id },
      make("span", { class: "card-frame" }, canvas),
      make("span", { class: "card-title" }, title),
    );
    draw(canvas, painting);
    button.addEventListener("click", () => {
      dialog.close();
      run();
    });
    return button;
  };

  const showScenes = () => {
    const { label_set: labelSet, native_width, native_height } = studio.model;
    // A card shows the middle square of it.
    const scale = THUMB / Math.min(native_width, native_height);
    const [width, height] = [native_width, native_height].map((side) => Math.round(side * scale));
    const sky = createMap(1, 1, idOfMeaning(labelSet, { name: "sky" }));
    sceneHost.replaceChildren(
      card("blank", "Clear sky", { map: sky, labelSet }, () => studio.startBlank()),
      ...scenes.map((scene) =>
        card(scene.id, scene.title, { map: drawScene(scene, width, height, labelSet), labelSet }, () =>
          studio.startScene(scene),
        ),
      ),
    );
  };

  const showKept = async () => {
    const here = studio.state.document?.id;
    const paintings = (await kept().catch(() => [])).filter(({ id, touched }) => id !== here && touched);
    keptPart.hidden = paintings.length === 0;
    keptHost.replaceChildren(
      ...paintings
        .slice(0, KEPT_SHOWN)
        .map((painting) => card(painting.id, painting.title, painting, () => studio.startKept(painting))),
    );
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
