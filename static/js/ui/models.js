/**
 * The model selector.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { t } from "../core/i18n.js";
import { byId, make } from "./dom.js";

/** @param {Studio} studio */
export function mountModels(studio) {
  const select = byId("model", HTMLSelectElement);
  select.addEventListener("change", () => studio.setModel(select.value));
  studio.store.watch(["models"], ({ models }) => {
    select.disabled = models.length === 0;
    if (models.length === 0) return;
    select.replaceChildren(...models.map(({ id, name }) => make("option", { value: id }, name)));
  });
  studio.store.watch(["model", "models"], ({ model, models }) => {
    if (model) select.value = model;
    const licence = models.find(({ id }) => id === model)?.licence;
    select.title = licence ? t("Licence: {licence}", { licence }) : "";
  });
}
