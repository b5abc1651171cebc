/**
 * Lights for parts of the picture: the list of them, which one is painted with, and how much of the picture each has.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/document.js").Region} Region
 */
import { t, term } from "../core/i18n.js";
import { MARK_COLORS, sharesOf } from "../document/light.js";
import { icon, make } from "./dom.js";
import { editText } from "./rename.js";

/** Shares are counted when the hand has rested so long, in milliseconds. */
const REST = 200;
/** Where panels are sheets: see studio.css. */
const SHEET = "(width < 640px), (height < 520px)";

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 */
export function mountRegions(host, studio) {
  const paint = make("button", {
    type: "button",
    class: "button wide",
    "data-action": "paint-light",
    "data-text": "",
  });
  const none = make("p", { class: "quiet" });
  const hint = make("p", { class: "quiet" });
  const list = make("ul", { class: "regions", "aria-label": t("Lights in this picture") });
  host.append(paint, none, hint, list);
  // On a phone the panel is a sheet over the map that is to be painted on, and over the lights to choose from.
  studio.store.watch(["plane", "region"], ({ panels, plane }) => {
    if (plane !== "styles" || !matchMedia(SHEET).matches) return;
    studio.store.set({ panels: panels.filter((panel) => panel !== "light") });
  });
  /** @type {HTMLElement[]} by style number */
  let shares = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const row = (/** @type {string} */ title, /** @type {number} */ number) => {
    const name = make("span", { class: "region-name" }, title);
    const share = make("span", { class: "region-share" });
    const choose = make("button", { type: "button", class: "region" }, markOf(number), name, share);
    choose.addEventListener("click", () => studio.paintLight(number));
    shares[number] = share;
    const item = make("li", { "data-region": String(number) }, choose);
    if (number === 0) return item;
    const rename = () => editText(choose, title, (next) => renameRegion(studio, number, next));
    choose.addEventListener("dblclick", rename);
    choose.addEventListener("keydown", (event) => {
      if (event.key === "F2") rename();
      else if (event.key === "Delete") studio.document.removeRegion(number);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    choose.dataset.tip = title;
    choose.dataset.tipHint = t("Click to paint with it; double-click or F2 renames it.");
    const label = t("Remove {title} from the picture", { title });
    const remove = make(
      "button",
      { type: "button", class: "tool small", "aria-label": label, "data-tip": label },
      icon("clear"),
    );
    remove.addEventListener("click", () => studio.document.removeRegion(number));
    item.append(remove);
    return item;
  };

  const count = () => {
    const { document, models } = studio.state;
    if (!document || models.length === 0 || document.regions.length === 0) return;
    for (const [number, part] of sharesOf(document.styles.data, document.regions.length).entries()) {
      if (shares[number])
        shares[number].textContent = part > 0 && part < 0.01 ? "< 1 %" : `${Math.round(part * 100)} %`;
    }
  };

  const countSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(count, REST);
  };

  studio.store.watch(["document", "regions", "model", "models"], ({ document, regions, models }) => {
    if (!document || models.length === 0) return;
    const focused = list.contains(window.document.activeElement);
    shares = [];
    list.replaceChildren(
      row(t("The picture’s own"), 0),
      ...regions.map(({ title }, i) => row(term(title), i + 1)),
    );
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(".region"))?.focus();
    count();
  });

  studio.store.watch(
    ["document", "plane", "region", "regions", "model", "models"],
    ({ document, plane, region, regions, models }) => {
      if (!document || models.length === 0) return;
      const { name, style_dim: length, styles_by_region: knows } = studio.model;
      const able = knows && !document.source;
      const painting = plane === "styles";
      host.hidden = length === 0;
      paint.hidden = !able;
      none.hidden = Boolean(able);
      none.textContent = document.source
        ? t("What is painted into a photo has one light.")
        : t("{model} has one light for the whole picture, not one for each part.", { model: name });
      list.hidden = !able || (regions.length === 0 && !painting);
      hint.hidden = !able || !painting;
      hint.textContent =
        region === 0
          ? t("Choose the light to paint with: below the picture, by the dice, or here.")
          : t("Paint where it falls. Esc or a label goes back to painting labels.");
      for (const item of list.children) {
        const chosen = painting && item.getAttribute("data-region") === String(region);
        item.querySelector(".region")?.setAttribute("aria-pressed", String(chosen));
      }
      if (!able && painting) studio.setPlane("labels");
    },
  );

  studio.follow(({ plane, rect }) => {
    if (plane === "styles" && rect) countSoon();
  });
}

/** @param {Studio} studio @param {number} number @param {string} title */
function renameRegion({ document }, number, title) {
  const { regions } = document;
  document.setRegions(regions.toSpliced(number - 1, 1, { ...regions[number - 1], title }));
}

/** The mark by which a light is known in the list and over the map. @param {number} number */
function markOf(number) {
  const mark = make("span", { class: "mark", "aria-hidden": "true" }, number === 0 ? "" : String(number));
  if (number > 0) mark.style.backgroundColor = `rgb(${MARK_COLORS[number - 1].join(" ")})`;
  return mark;
}
