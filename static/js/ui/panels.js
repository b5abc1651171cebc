/**
 * Which panels are open, remembered on desks. On a phone they are sheets over the pictures, one at a time, and closed at
 * first.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { recall, remember } from "../core/remember.js";
import { byId } from "./dom.js";

const SMALL = "(width < 640px), (height < 520px)";
/** From here on every panel has room beside the pictures. */
const ROOMY = "(width >= 1600px)";
const NAMES = ["labels", "light", "layers", "edit"];

/** @param {Studio} studio */
export function mountPanels(studio) {
  const small = matchMedia(SMALL);
  /** @type {readonly string[]} */
  let shown = [];
  const load = () => {
    const kept = recall("panels");
    const own = matchMedia(ROOMY).matches ? ["labels", "light", "layers"] : ["labels"];
    const open = Array.isArray(kept) ? NAMES.filter((name) => kept.includes(name)) : own;
    // Over the pictures nothing lies unasked.
    studio.store.set({ panels: small.matches ? [] : open });
  };

  small.addEventListener("change", load);
  load();
  studio.store.watch(["panels"], ({ panels }) => {
    // One sheet at a time: the one that was asked for last.
    if (small.matches && panels.length > 1) return studio.store.set({ panels: panels.slice(-1) });
    const opened = panels.findLast((name) => !shown.includes(name));
    shown = panels;
    document.body.dataset.panels = panels.join(" ");
    // The dock scrolls, and a panel may open below its edge.
    document.querySelector(`.dock [data-panel="${opened}"]`)?.scrollIntoView({ block: "nearest" });
    if (!small.matches) remember("panels", panels);
  });

  mountMenu();
}

/** On a phone the top line's own sheet: files, model, language, help. */
function mountMenu() {
  const button = byId("menu-button", HTMLButtonElement);
  const menu = byId("menu", HTMLElement);
  const open = (/** @type {boolean} */ yes) => {
    document.body.toggleAttribute("data-menu", yes);
    button.setAttribute("aria-expanded", String(yes));
  };
  button.addEventListener("click", () => open(button.getAttribute("aria-expanded") !== "true"));
  menu.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest("button")) open(false);
  });
  addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !menu.contains(target) && !button.contains(target)) open(false);
  });
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") open(false);
  });
}
