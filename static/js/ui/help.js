/** The help sheet, made from the action table. */
import { ACTIONS } from "./actions.js";
import { byId, icon, make } from "./dom.js";
import { keyCaps } from "./keys.js";
import { MAC } from "./toolbar.js";

/** @returns {{show: () => void}} */
export function mountHelp() {
  const dialog = byId("help", HTMLDialogElement);
  const groups = new Set(ACTIONS.map(({ group }) => group));
  byId("help-body", HTMLElement).append(
    ...[...groups].map((group) =>
      make(
        "section",
        { class: "help-group" },
        make("h3", {}, group),
        make("dl", {}, ...ACTIONS.filter((action) => action.group === group).map(entry)),
      ),
    ),
  );
  closeOnBackdrop(dialog);
  return { show: () => dialog.showModal() };
}

/** @param {import("./actions.js").Action} action */
function entry({ title, hint, keys, icon: name }) {
  const term = make("dt", {}, name ? icon(name) : make("span", { class: "icon" }), title);
  const combos = keys.map((combo) => {
    const caps = keyCaps(combo, MAC).map((cap) => make("kbd", {}, cap));
    return make("span", { class: "combo" }, ...caps);
  });
  const row = make("div", { class: "help-row" }, term, make("dd", { class: "help-keys" }, ...combos));
  if (hint) row.append(make("dd", { class: "help-hint" }, hint));
  return row;
}

/**
 * A click beside a dialog closes it, as does its own close button.
 *
 * @param {HTMLDialogElement} dialog
 */
export function closeOnBackdrop(dialog) {
  dialog.addEventListener("click", (event) => {
    const onClose = event.target instanceof Element && event.target.closest("[data-close]");
    if (event.target === dialog || onClose) dialog.close();
  });
}
