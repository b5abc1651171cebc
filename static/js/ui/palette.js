/**
 * The palette: every label with its colour and its name, by group, and for those that the model lacks what it paints
 * instead. One radio group for the keyboard: Tab reaches the
 * chosen label, arrows move the choice.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { groupLabels } from "../document/labelset.js";
import { make } from "./dom.js";

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 */
export function mountPalette(host, studio) {
  /** @type {Map<number, HTMLButtonElement>} */
  const swatches = new Map();
  /** @type {import("../document/labelset.js").LabelSet | null} */
  let shown = null;

  const build = () => {
    const set = studio.document.labelSet;
    if (set === shown) return;
    shown = set;
    swatches.clear();
    host.replaceChildren(
      ...groupLabels(set).map(({ group, labels }) =>
        make(
          "div",
          { class: "group" },
          make("h3", { class: "group-name" }, group),
          make("div", { class: "swatches" }, ...labels.map(swatch)),
        ),
      ),
    );
  };

  const swatch = (/** @type {import("../document/labelset.js").Label} */ { id, name, color }) => {
    const chip = make("span", { class: "chip", "aria-hidden": "true" });
    chip.style.backgroundColor = `rgb(${color.join(" ")})`;
    const button = make(
      "button",
      { type: "button", class: "swatch", role: "radio", "data-label": String(id), "data-tip": name },
      chip,
      make("span", { class: "swatch-text" }, make("span", { class: "swatch-name" }, name)),
    );
    button.addEventListener("click", () => choose(id));
    swatches.set(id, button);
    return button;
  };

  /** A quiet "→ tree" under the name; the tooltip says it in words. */
  const markStandIns = () => {
    const standIns = studio.standIns();
    for (const [id, button] of swatches) {
      const nearest = standIns.get(id);
      button.querySelector(".stand-in")?.remove();
      button.removeAttribute("aria-description");
      delete button.dataset.tipHint;
      if (nearest === undefined) continue;
      const { name, label_set: set } = studio.model;
      const nothing = set.labels.find(({ id: other }) => other === set.ignore)?.name === nearest;
      const hint = nothing
        ? `${name} knows nothing like it and leaves it ${nearest}.`
        : `${name} does not know it and paints ${nearest} instead.`;
      button
        .querySelector(".swatch-text")
        ?.append(make("span", { class: "stand-in", "aria-hidden": "true" }, `→ ${nearest}`));
      button.dataset.tipHint = hint;
      button.setAttribute("aria-description", hint);
    }
  };

  const choose = (/** @type {number} */ id) => {
    studio.setLabel(id);
    // Whoever chooses a label wants to paint with it.
    if (studio.state.tool === "pick") studio.setTool(studio.lastTool);
  };

  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const ids = [...swatches.keys()];
    const at = ids.indexOf(studio.state.label);
    const next = ids[(at + step + ids.length) % ids.length];
    choose(next);
    swatches.get(next)?.focus();
  });

  studio.store.watch(["document", "model", "models"], ({ document }) => {
    if (!document) return;
    build();
    markStandIns();
  });

  studio.store.watch(["document", "label"], ({ document, label }) => {
    if (!document) return;
    build();
    for (const [id, button] of swatches) {
      const chosen = id === label;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      if (chosen) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  });
}
