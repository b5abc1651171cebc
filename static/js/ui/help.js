/** The help sheet, made from the action table. */
import { t } from "../core/i18n.js";
import { ACTIONS } from "./actions.js";
import { byId, icon, make } from "./dom.js";
import { keyCaps } from "./keys.js";
import { MAC } from "./toolbar.js";

/**
 * @param {import("./studio.js").Studio} studio
 * @returns {{show: () => void, close: () => void}}
 */
export function mountHelp(studio) {
  const dialog = byId("help", HTMLDialogElement);
  const body = byId("help-body", HTMLElement);
  const search = byId("help-search", HTMLInputElement);
  const nothing = byId("help-nothing", HTMLElement);
  /** Made when it is asked for: a hundred rows are not needed to paint. */
  const build = () => {
    const { sharing, session } = studio.state;
    /** @type {Record<string, boolean>} */
    const here = { share: sharing, "sign-in": session === "out", "sign-out": session === "in" };
    byId("help-shares", HTMLElement).hidden = !sharing;
    byId("help-keeps", HTMLElement).hidden = sharing;
    const groups = new Set(ACTIONS.map(({ group }) => group));
    const offered = ACTIONS.filter(({ id }) => here[id] ?? true);
    body.replaceChildren(
      ...[...groups].map((group) =>
        make(
          "section",
          { class: "help-group" },
          make("h3", {}, t(group)),
          make("dl", {}, ...offered.filter((action) => action.group === group).map(entry)),
        ),
      ),
    );
  };

  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll(".help-row"))) {
      row.hidden = !words.every((word) => row.dataset.words?.includes(word));
    }
    for (const group of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll(".help-group"))) {
      group.hidden = !group.querySelector(".help-row:not([hidden])");
    }
    nothing.hidden = body.querySelector(".help-row:not([hidden])") !== null;
  };
  search.addEventListener("input", find);

  closeOnBackdrop(dialog);
  return {
    show() {
      build();
      search.value = "";
      find();
      dialog.showModal();
    },
    close: () => dialog.close(),
  };
}

/** @param {import("./actions.js").Action} action */
function entry({ title, hint, keys, icon: name }) {
  const term = make("dt", {}, name ? icon(name) : make("span", { class: "icon" }), t(title));
  const combos = keys.map((combo) => {
    const caps = keyCaps(combo, MAC).map((cap) => make("kbd", {}, cap));
    return make("span", { class: "combo" }, ...caps);
  });
  const row = make("div", { class: "help-row" }, term, make("dd", { class: "help-keys" }, ...combos));
  if (hint) row.append(make("dd", { class: "help-hint" }, t(hint)));
  // Found by its English name too: many know tools by that.
  row.dataset.words = [t(title), title, hint && t(hint), ...keys].join(" ").toLowerCase();
  return row;
}

/**
 * A click beside a dialog closes it, as does its own close button.
 *
 * @param {HTMLDialogElement} dialog
 */
export function closeOnBackdrop(dialog) {
  // The dialog itself is also what is clicked in the gaps between its parts, and what a drag that began in a field ends on.
  const isBeside = (/** @type {MouseEvent} */ { target, clientX, clientY }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const inside = clientX >= left && clientX <= right && clientY >= top && clientY <= bottom;
    return target === dialog && !inside;
  };
  let pressedBeside = false;
  dialog.addEventListener("pointerdown", (event) => {
    pressedBeside = isBeside(event);
  });
  dialog.addEventListener("click", (event) => {
    const onClose = event.target instanceof Element && event.target.closest("[data-close]");
    if (onClose || (pressedBeside && isBeside(event))) dialog.close();
  });
}
