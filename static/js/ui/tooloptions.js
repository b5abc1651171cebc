/**
 * The line above the stage: what can be said to the tool in hand. Its buttons are of the action table; each thing names the
 * tools that it is for, or `selection` where it has a use as long as something is selected.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/selection.js").SelectMode} SelectMode
 */
import { t } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { byId, icon, make } from "./dom.js";

/** @type {{mode: SelectMode, title: string, hint: string}[]} */
const MODES = [
  { mode: "new", title: t("New selection"), hint: t("What you mark is selected, and nothing else.") },
  { mode: "add", title: t("Add to the selection"), hint: t("Or hold Shift.") },
  { mode: "subtract", title: t("Take from the selection"), hint: t("Or hold Alt.") },
  { mode: "intersect", title: t("Keep what is in both"), hint: t("Or hold Shift and Alt.") },
];

/** @param {Studio} studio */
export function mountToolOptions(studio) {
  const bar = byId("tool-options", HTMLElement);
  const parts = /** @type {HTMLElement[]} */ ([...bar.querySelectorAll("[data-for]")]);
  studio.store.watch(["tool", "selection"], ({ tool, selection }) => {
    for (const part of parts) {
      const uses = (part.dataset.for ?? "").split(" ");
      part.hidden = !uses.includes(tool) && !(selection && uses.includes("selection"));
    }
  });
  studio.store.watch(["tool"], ({ tool }) => {
    // On a phone the tools are a line that scrolls.
    document
      .querySelector(`#tools [data-action="${tool}"]`)
      ?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  mountSteady(studio);
  mountModes(studio);
  const zoom = byId("zoom-text", HTMLOutputElement);
  studio.store.watch(["zoom"], ({ zoom: scale }) => {
    zoom.textContent = `${Math.round(scale * devicePixelRatio * 100)} %`;
  });
  const symmetry = /** @type {HTMLElement} */ (bar.querySelector("[data-action=symmetry]"));
  studio.store.watch(["symmetry"], (state) => {
    symmetry.dataset.symmetry = state.symmetry;
  });
  if (recall("pressure") === false) studio.store.set({ pressure: false });
  studio.store.watch(["pressure"], ({ pressure }) => remember("pressure", pressure));
}

/** @param {Studio} studio */
function mountSteady(studio) {
  const slider = byId("steady", HTMLInputElement);
  const label = /** @type {HTMLElement} */ (slider.parentElement);
  label.dataset.tip = t("Steady strokes");
  label.dataset.tipHint = t("The brush follows the pointer as if drawn by a spring: 0 for every tremor.");
  const kept = recall("steady");
  if (typeof kept === "number" && kept >= 0 && kept <= 100) studio.store.set({ streamline: kept });
  slider.addEventListener("input", () => studio.store.set({ streamline: Number(slider.value) }));
  studio.store.watch(["streamline"], ({ streamline }) => {
    slider.value = String(streamline);
    slider.setAttribute("aria-valuetext", `${streamline} %`);
    slider.style.setProperty("--part", String(streamline / 100));
    remember("steady", streamline);
  });
}

/** @param {Studio} studio */
function mountModes(studio) {
  const buttons = MODES.map(({ mode, title, hint }) => {
    const button = make(
      "button",
      {
        type: "button",
        class: "button square",
        "aria-label": title,
        "data-tip": title,
        "data-tip-hint": hint,
      },
      icon(`mode-${mode}`),
    );
    button.addEventListener("click", () => studio.store.set({ selectMode: mode }));
    return { mode, button };
  });
  byId("select-modes", HTMLElement).append(...buttons.map(({ button }) => button));
  studio.store.watch(["selectMode"], ({ selectMode }) => {
    for (const { mode, button } of buttons) button.setAttribute("aria-pressed", String(mode === selectMode));
  });
}
