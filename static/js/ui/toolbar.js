/**
 * Buttons and keys, from the one action table; and toolbars, each of which is one stop for Tab.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./actions.js").Action} Action
 */
import { t } from "../core/i18n.js";
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
  button.append(make("span", { class: "button-text" }, t(action.short ?? action.title)));
  button.type = "button";
  button.dataset.tip = t(action.title);
  if (action.hint) button.dataset.tipHint = t(action.hint);
  if (action.keys.length > 0) button.dataset.tipKeys = keyCaps(action.keys[0], MAC).join(" + ");
  button.setAttribute("aria-label", t(action.title));
  if (action.keys.length > 0) button.setAttribute("aria-keyshortcuts", action.keys.map(ariaKeys).join(" "));
  button.addEventListener("click", () => run?.(studio));
  studio.store.watch(
    [
      "document",
      "tool",
      "plane",
      "models",
      "canUndo",
      "canRedo",
      "view",
      "panels",
      "model",
      "plane",
      "layers",
      "active",
      "selection",
      "sketch",
      "symmetry",
      "everywhere",
      "pressure",
      "sharing",
      "session",
    ],
    (state) => {
      button.disabled = enabled ? !enabled(state) : false;
      if (pressed) button.setAttribute("aria-pressed", String(pressed(state)));
    },
  );
}

/** @param {string} combo */
function ariaKeys(combo) {
  return combo.replace("mod", MAC ? "Meta" : "Control").replace("shift", "Shift");
}

/** Every toolbar of the page, but those that lead the focus themselves. */
export function mountToolbars() {
  for (const bar of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("[role=toolbar]:not([data-roving=own])")
  )) {
    leadFocus(bar);
  }
}

/**
 * Tab reaches one button of it, the one that was focused last; arrows, Home and End walk from there. Sliders and fields
 * need the arrows themselves and stay stops of their own.
 *
 * @param {HTMLElement} bar
 */
function leadFocus(bar) {
  const buttons = () =>
    /** @type {HTMLButtonElement[]} */ ([...bar.querySelectorAll("button")]).filter(
      (button) => !button.disabled && button.checkVisibility({ visibilityProperty: true }),
    );

  /** @param {HTMLButtonElement} [wanted] */
  const stopAt = (wanted) => {
    const all = buttons();
    const stop = wanted ?? all.find(({ tabIndex }) => tabIndex === 0) ?? all[0];
    for (const button of bar.querySelectorAll("button")) button.tabIndex = button === stop ? 0 : -1;
  };

  bar.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLButtonElement) stopAt(target);
  });
  bar.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return; // a page back, say
    const all = buttons();
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const next = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: -1,
    };
    const step = next[/** @type {keyof typeof next} */ (event.key)];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    all.at(step % all.length)?.focus();
  });
  // A button that can no longer be pressed, or is no longer there, is no stop.
  new MutationObserver(() => stopAt()).observe(bar, {
    attributeFilter: ["disabled", "hidden"],
    childList: true,
    subtree: true,
  });
  stopAt();
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
    const enabled = !action.enabled || action.enabled(studio.state);
    // Where there is nothing of ours to paste, the browser may have a file.
    if (enabled || action.id !== "paste") event.preventDefault();
    if (enabled) action.run?.(studio, combo);
  });
  // Alt alone would move the focus to the browser's menu on some systems, away from the canvas.
  addEventListener("keyup", (event) => {
    if (event.key === "Alt") event.preventDefault();
  });
}
