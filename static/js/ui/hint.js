/**
 * The first word to a newcomer: where to put the hand. Gone with the first stroke; a new visit begins with it again
 * only while no painting of this browser has been touched.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { t, term } from "../core/i18n.js";
import { labelById } from "../document/labelset.js";
import { byId, make } from "./dom.js";

/** @param {Studio} studio */
export function mountHint(studio) {
  const hint = byId("hint", HTMLElement);
  let painted = false;
  studio.store.watch(["document", "label", "canUndo"], ({ document, label, canUndo }) => {
    painted ||= canUndo || Boolean(document?.touched);
    hint.hidden = !document || painted;
    if (!document) return;
    const name = term(labelById(document.labelSet, label)?.name ?? "");
    const [before, after] = t("Drag here to paint {label}").split("{label}");
    hint.replaceChildren(before, make("b", {}, name), after);
  });
}
