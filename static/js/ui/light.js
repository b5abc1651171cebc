/**
 * The light panel: which light falls, where, and with which seed; lights for parts of the picture; a light from a photo;
 * a mix of two; the lights that somebody liked.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/light.js").NamedLight} NamedLight
 */
import { t, term } from "../core/i18n.js";
import { icon, make } from "./dom.js";
import { MAX_SEED } from "./lights.js";
import { mountMix } from "./mix.js";
import { mountReference } from "./reference.js";
import { mountRegions } from "./regions.js";
import { mountStrip } from "./strip.js";

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 */
export function mountLight(host, studio) {
  const now = make("output", { class: "light-title", "aria-live": "polite" });
  const like = make("button", { type: "button", class: "tool", "data-action": "like-light" });
  const head = make("div", { class: "light-now" }, now, like);
  const none = make("p", { class: "quiet", hidden: "" });
  const seed = seedRow(studio);
  const regions = make("div", { class: "light-part" });
  const sky = make(
    "p",
    { class: "quiet" },
    t("To light the sky alone, select it first with “{tool}”.", { tool: t("Select an area") }),
  );
  const mix = make("div", { class: "light-part" });
  const reference = make("div", { class: "light-part" });
  const strip = make("div", { class: "light-part" });
  const styled = [head, mix, reference, strip];
  host.append(head, none, seed, regions, mix, reference, strip);
  mountRegions(regions, studio);
  regions.append(sky);
  studio.store.watch(["plane", "selection"], ({ plane, selection }) => {
    sky.hidden = plane !== "styles" || selection !== null;
  });
  mountMix(mix, studio);
  mountReference(reference, host, studio);
  mountStrip(strip, studio);

  studio.store.watch(
    ["document", "model", "models", "seed", "style", "code", "plane", "region", "regions"],
    ({ document: painting, models }) => {
      if (!painting) return;
      now.textContent = term(studio.lights.chosen.title);
      if (models.length === 0) return;
      const { name, style_dim: length } = studio.model;
      none.hidden = length > 0;
      none.textContent = t("{model} paints everything in one light.", { model: name });
      for (const part of styled) part.hidden = length === 0;
    },
  );
}

/** The seed as a number that can be typed, and its lock. @param {Studio} studio */
function seedRow(studio) {
  const field = make("input", {
    type: "number",
    id: "seed-field",
    min: "0",
    max: String(MAX_SEED),
    step: "1",
    inputmode: "numeric",
  });
  const lock = make(
    "button",
    { type: "button", class: "tool", "aria-label": t("Lock the seed"), "data-tip": t("Lock the seed") },
    icon("unlocked"),
  );
  lock.dataset.tipHint = t(
    "Locked, every blade of grass stays where it is: the dice and kept lights change the light alone. Unlocked, they bring another seed.",
  );
  field.addEventListener("change", () => {
    const seed = Number(field.value);
    if (field.value !== "" && Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED) {
      studio.document.setLight({ seed });
    }
    field.value = String(studio.document.seed);
  });
  field.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") field.value = String(studio.document.seed);
    if (key === "Escape" || key === "Enter") field.blur();
  });
  lock.addEventListener("click", () => studio.lockSeed(!studio.state.seedLocked));
  studio.store.watch(["document", "seed"], ({ document: painting, seed }) => {
    if (painting && document.activeElement !== field) field.value = String(seed);
  });
  studio.store.watch(["seedLocked"], ({ seedLocked }) => {
    lock.setAttribute("aria-pressed", String(seedLocked));
    lock.replaceChildren(icon(seedLocked ? "locked" : "unlocked"));
    field.readOnly = seedLocked;
  });
  return make("div", { class: "light-seed" }, make("label", { for: "seed-field" }, t("Seed")), field, lock);
}
