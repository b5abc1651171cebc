/**
 * The first word to a newcomer: where to put the hand. Gone with the first stroke, and for good.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { labelById } from "../document/labelset.js";
import { byId, make } from "./dom.js";

/** @param {Studio} studio */
export function mountHint(studio) {
  const hint = byId("hint", HTMLElement);
  studio.store.watch(["document", "label", "canUndo"], ({ document, label, canUndo }) => {
    hint.hidden = !document || document.touched || canUndo;
    if (!document) return;
    const name = labelById(document.labelSet, label)?.name ?? "";
    hint.replaceChildren("Drag here to paint ", make("b", {}, name), "; the photo follows");
  });
}
