/**
 * What is painted, where it is not labels: a chip over the pictures says so, and leads back.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { t, term } from "../core/i18n.js";
import { byId } from "./dom.js";

/** @param {Studio} studio */
export function mountMode(studio) {
  const chip = byId("mode", HTMLElement);
  const text = byId("mode-text", HTMLElement);
  byId("mode-close", HTMLButtonElement).addEventListener("click", () => studio.setPlane("labels"));
  studio.store.watch(["document", "plane", "region", "regions"], ({ document, plane, region, regions }) => {
    chip.hidden = !document || plane === "labels";
    if (chip.hidden) return;
    const light = () => {
      const title = regions[region - 1]?.title;
      if (title) return term(title);
      return region > 0 ? t("A light of its own") : t("The picture’s own");
    };
    const what = plane === "styles" ? light() : plane === "anew" ? t("Vary") : t("Restore");
    text.textContent = t("Painting with: {what}", { what });
  });
}
