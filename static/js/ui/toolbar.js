/**
 * Buttons and keys, from the one action table.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./actions.js").Action} Action
 */
import { ACTIONS } from "./actions.js";
import { icon, make } from "./dom.js";
import { comboOf, keyCaps } from "./keys.js";

export const MAC = /Mac|iPhone|iPad/.test(navigator.platform);

/**
 * Dress every `<button data-action="…">` of the page.
 *
 * @param {Studio} studio
 */
export function mountButtons(studio) {
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (
    document.querySelectorAll("button[data-action]")
  )) {
    const action = ACTIONS.find(({ id }) => id === button.dataset.action);
    if (!action?.run) throw new Error(`no action is called “${button.dataset.action}”`);
    dress(button, action, studio);
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {Action} action
 * @param {Studio} studio
 */
function dress(button, action, studio) {
  const { run, enabled, pressed } = action;
  if (action.icon) button.append(icon(action.icon));
  button.append(make("span", { class: "button-text" }, action.short ?? action.title));
  button.type = "button";
  button.dataset.tip = action.title;
  if (action.hint) button.dataset.tipHint = action.hint;
  if (action.keys.length > 0) button.dataset.tipKeys = keyCaps(action.keys[0], MAC).join(" + ");
  button.setAttribute("aria-label", action.title);
  if (action.keys.length > 0) button.setAttribute("aria-keyshortcuts", action.keys.map(ariaKeys).join(" "));
  button.addEventListener("click", () => run?.(studio));
  studio.store.watch(["document", "tool", "models", "canUndo", "canRedo", "view", "panels"], (state) => {
    button.disabled = enabled ? !enabled(state) : false;
    if (pressed) button.setAttribute("aria-pressed", String(pressed(state)));
  });
}

/** @param {string} combo */
function ariaKeys(combo) {
  return combo.replace("mod", MAC ? "Meta" : "Control").replace("shift", "Shift");
}

/** @param {Studio} studio */
export function mountKeys(studio) {
  addEventListener("keydown", (event) => {
    const { target } = event;
    const writing = target instanceof Element && target.matches("input:not([type=range]), select, textarea");
    if (writing || document.querySelector("dialog[open]")) return;
    const combo = comboOf(event);
    const action = ACTIONS.find(({ keys, run }) => run && keys.includes(combo));
    if (!action) return;
    event.preventDefault();
    if (!action.enabled || action.enabled(studio.state)) action.run?.(studio);
  });
  // Alt alone would move the focus to the browser's menu on some systems, away from the canvas.
  addEventListener("keyup", (event) => {
    if (event.key === "Alt") event.preventDefault();
  });
}
