/**
 * The layers panel: the list, the top first, and what can be done with it. One list box for the keyboard: arrows choose,
 * Alt and arrows move, F2 renames, Delete removes; a drag moves too. The bottom layer fills the picture, so it stays where
 * it is and nothing goes below it.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/layers.js").Layer} Layer
 * @typedef {(canvas: HTMLCanvasElement, layer: Layer, labelSet: import("../document/labelset.js").LabelSet) => void} Draw
 */
import { t } from "../core/i18n.js";
import { newId } from "../core/ids.js";
import { icon, make } from "./dom.js";
import { editText } from "./rename.js";
import { noticeOf } from "./studio.js";

/** Thumbnails are drawn anew when the hand has rested so long, in milliseconds. */
const REST = 200;
const BAR = [
  ...["layer-add", "layer-duplicate", "layer-up", "layer-down"],
  ...["layer-merge", "layer-flatten", "layer-remove"],
];
/** A pointer that moved less has clicked. */
const DRAG = 5;
const ENDS = /** @type {const} */ (["pointerup", "pointercancel", "keydown"]);

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 * @param {Draw} draw
 */
export function mountLayers(host, studio, draw) {
  const list = make("div", {
    class: "layers",
    role: "listbox",
    "aria-label": t("Layers, the top first"),
    tabindex: "0",
  });
  const bar = make("div", { class: "layers-bar", role: "toolbar", "aria-label": t("Layers") });
  for (const id of BAR) {
    bar.append(make("button", { type: "button", class: "tool", "data-action": id }));
  }
  // Beside the list, since a list box holds nothing but options; row for row as high as it.
  const switches = make("div", { class: "layer-switches", role: "group", "aria-label": t("Show and lock") });
  host.append(bar, make("div", { class: "layers-body" }, list, switches));
  /** @type {Map<string, {canvas: HTMLCanvasElement, map: import("../document/labelmap.js").LabelMap | null}>} */
  const thumbs = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const row = (
    /** @type {Layer} */ layer,
    /** @type {number} */ at,
    /** @type {readonly Layer[]} */ layers,
  ) => {
    const canvas =
      thumbs.get(layer.id)?.canvas ?? make("canvas", { width: "1", height: "1", "aria-hidden": "true" });
    thumbs.set(layer.id, { canvas, map: thumbs.get(layer.id)?.map ?? null });
    const name = make("span", { class: "layer-name" }, nameOf(layer));
    const option = make(
      "div",
      {
        role: "option",
        id: `layer-${layer.id}`,
        class: "layer",
        "data-layer": layer.id,
        "aria-selected": String(layer.id === studio.document.active),
        "aria-label": describe(layer, at, layers.length),
      },
      make("span", { class: "layer-thumb" }, canvas),
      name,
    );
    option.toggleAttribute("data-off", !layer.visible);
    option.addEventListener("dblclick", () => rename(layer.id));
    option.addEventListener("pointerdown", (event) => follow(event, layer.id));
    return option;
  };

  /** @param {Layer} layer @param {number} at */
  const switchesOf = (layer, at) => {
    // Something must show at the bottom, so that there is always a picture.
    const always = at === 0 && layer.visible;
    const both = /** @type {const} */ ([
      [
        "visible",
        layer.visible ? "shown" : "hidden",
        t("Visible"),
        layer.visible ? t("Hide") : t("Show"),
        always ? t("The bottom layer always shows") : t("Whether it shows in the map and the photo"),
      ],
      [
        "locked",
        layer.locked ? "locked" : "unlocked",
        t("Locked"),
        layer.locked ? t("Unlock") : t("Lock"),
        t("Nothing is painted on it while it is locked"),
      ],
    ]).map(([key, symbol, title, tip, hint]) => {
      const button = make(
        "button",
        {
          type: "button",
          class: "tool small",
          "data-switch": key,
          "aria-pressed": String(layer[key]),
          "aria-label": `${title}: ${nameOf(layer)}`,
          "data-tip": tip,
          "data-tip-hint": hint,
        },
        icon(symbol),
      );
      button.disabled = always && key === "visible";
      button.addEventListener("click", () => {
        studio.document.changeLayer(layer.id, { [key]: !layer[key] });
        /** @type {HTMLElement | null} */ (
          switches.querySelector(`[data-switches="${layer.id}"] [data-switch=${key}]`)
        )?.focus();
      });
      return button;
    });
    return make("div", { class: "layer-switch", "data-switches": layer.id }, ...both);
  };

  const rename = (/** @type {string} */ id) => {
    const layer = studio.document.layers.find((one) => one.id === id);
    const option = /** @type {HTMLElement | null} */ (list.querySelector(`[data-layer="${id}"]`));
    if (!layer || !option) return;
    editText(option, nameOf(layer), (name) => studio.document.changeLayer(id, { name }), list);
  };

  /** Draw the thumbnails of those layers whose pixels are others. @param {boolean} [all] */
  const drawThumbs = (all = false) => {
    const { document } = studio.state;
    if (!document) return;
    for (const layer of document.layers) {
      const thumb = thumbs.get(layer.id);
      if (!thumb || (!all && thumb.map === layer.map)) continue;
      draw(thumb.canvas, layer, document.labelSet);
      thumb.map = layer.map;
    }
  };

  const show = () => {
    const { document } = studio.state;
    if (!document) return;
    const focused = /** @type {HTMLElement | null} */ (window.document.activeElement);
    const had = focused !== null && list.contains(focused) && focused !== list;
    const { layers } = document;
    for (const id of thumbs.keys()) if (!layers.some((layer) => layer.id === id)) thumbs.delete(id);
    list.replaceChildren(...layers.map((layer, at) => row(layer, at, layers)).reverse());
    switches.replaceChildren(...layers.map(switchesOf).reverse());
    list.setAttribute("aria-activedescendant", `layer-${document.layer.id}`);
    drawThumbs();
    if (had) list.focus();
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  };

  // Keys

  /** Show a layer or hide it; the bottom one is not hidden. @param {Layer} layer @param {number} at */
  const turn = ({ id, visible }, at) => {
    if (at > 0 || !visible) studio.document.changeLayer(id, { visible: !visible });
  };

  list.addEventListener("keydown", (event) => {
    if (event.target !== list || event.ctrlKey || event.metaKey) return;
    const { document } = studio;
    const { layers } = document;
    const at = layers.indexOf(document.layer);
    const up = { ArrowUp: at + 1, ArrowDown: at - 1, Home: layers.length - 1, End: 0 }[event.key];
    if (up !== undefined) {
      const to = Math.max(0, Math.min(layers.length - 1, up));
      if (!event.altKey) document.setActive(layers[to].id);
      else if (!moveLayer(studio, to)) sayWhyNot(studio);
    } else if (event.altKey) return;
    else if (event.key === "F2") rename(document.active);
    else if (event.key === "Delete") removeLayer(studio);
    else if (event.key === " ") turn(document.layer, at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // Drags

  /** @param {PointerEvent} down @param {string} id */
  const follow = (down, id) => {
    if (down.button !== 0) return;
    studio.document.setActive(id);
    list.focus({ preventScroll: true });
    const item = /** @type {HTMLElement | null} */ (list.querySelector(`[data-layer="${id}"]`));
    if (!item) return;
    const others = () =>
      [.../** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(".layer"))].filter(
        (one) => one !== item,
      );
    const { layers } = studio.document;
    const stays = layers[0].id === id;
    let dragging = false;
    /** Where it would go, counted from the top, itself taken out. */
    let to = 0;
    const move = (/** @type {PointerEvent} */ event) => {
      if (event.pointerId !== down.pointerId) return;
      dragging ||= Math.abs(event.clientY - down.clientY) > DRAG;
      if (!dragging || stays) return;
      item.dataset.dragging = "";
      item.style.transform = `translateY(${event.clientY - down.clientY}px)`;
      to = markPlace(others(), event.clientY);
    };
    const end = (/** @type {PointerEvent | KeyboardEvent} */ event) => {
      if ("pointerId" in event ? event.pointerId !== down.pointerId : event.key !== "Escape") return;
      removeEventListener("pointermove", move);
      for (const kind of ENDS) removeEventListener(kind, end);
      const bottom = others().at(-1)?.getBoundingClientRect();
      markPlace(others(), null);
      item.style.transform = "";
      delete item.dataset.dragging;
      if (!dragging || event.type !== "pointerup") return;
      const below = bottom && /** @type {PointerEvent} */ (event).clientY > bottom.top + bottom.height / 2;
      if (stays || below) sayWhyNot(studio);
      if (!stays) moveLayer(studio, layers.length - 1 - to);
    };
    addEventListener("pointermove", move);
    for (const kind of ENDS) addEventListener(kind, end);
  };

  studio.store.watch(["document", "layers", "active"], show);
  studio.follow(({ plane, rect }) => {
    if (plane !== "labels" || !rect) return;
    clearTimeout(timer);
    timer = setTimeout(() => drawThumbs(true), REST);
  });
}

/**
 * Draw the line where a layer that is dragged would go, above the bottom one at the lowest.
 *
 * @param {HTMLElement[]} others the top first
 * @param {number | null} y where the pointer is; null draws none
 * @returns {number} how many of the others are above it
 */
function markPlace(others, y) {
  const above = others.slice(0, -1).filter((one) => {
    const { top, height } = one.getBoundingClientRect();
    return y !== null && top + height / 2 < y;
  }).length;
  for (const [i, one] of others.entries()) {
    one.toggleAttribute("data-before", y !== null && i === above);
  }
  return above;
}

/** @param {Layer} layer */
function nameOf({ name }) {
  return name === "" ? t("Background") : name;
}

/** What a layer is, in one line for those who hear it. @param {Layer} layer @param {number} at @param {number} count */
function describe(layer, at, count) {
  const parts = [nameOf(layer), t("{number} of {count} from the bottom", { number: at + 1, count })];
  if (!layer.visible) parts.push(t("hidden"));
  if (layer.locked) parts.push(t("locked"));
  return parts.join(", ");
}

// What the table of actions does with layers

/** @param {Studio} studio */
export function addLayer(studio) {
  attempt(studio, () => studio.document.addLayer(newId(), nextName(studio.document.layers)));
}

/** @param {Studio} studio */
export function duplicateLayer(studio) {
  const { layer } = studio.document;
  const map = { ...layer.map, data: layer.map.data.slice() };
  const name = t("{name} copy", { name: nameOf(layer) });
  attempt(studio, () => studio.document.insertLayer({ ...layer, id: newId(), name, locked: false, map }));
}

/** @param {Studio} studio */
export function removeLayer(studio) {
  studio.document.removeLayer(studio.document.active);
}

/**
 * Move the active layer.
 *
 * @param {Studio} studio
 * @param {number} to its place, the bottom is 0
 * @returns {boolean} false when it would be the bottom one, or is: that stays
 */
function moveLayer(studio, to) {
  const { layers, layer } = studio.document;
  const at = layers.indexOf(layer);
  if (at === 0 || to < 1) return at === to;
  if (to !== at && to < layers.length) studio.document.moveLayer(layer.id, to);
  return true;
}

/** @param {Studio} studio @param {1 | -1} step up or down */
export function stepLayer(studio, step) {
  moveLayer(studio, studio.document.layers.indexOf(studio.document.layer) + step);
}

/** @param {Studio} studio */
function sayWhyNot({ ports }) {
  ports.say({
    what: t("The bottom layer stays at the bottom."),
    why: t("It fills the whole picture, and the others lie on it."),
    key: "layers",
  });
}

/** @param {Studio} studio */
export function mergeLayer(studio) {
  studio.document.mergeDown(studio.document.active);
}

/** The first number that no layer's name has. @param {readonly Layer[]} layers */
function nextName(layers) {
  for (let number = layers.length; ; number++) {
    const name = t("Layer {number}", { number });
    if (!layers.some((layer) => layer.name === name)) return name;
  }
}

/** @param {Studio} studio @param {() => void} change */
function attempt(studio, change) {
  try {
    change();
  } catch (error) {
    studio.ports.say({ ...noticeOf(error, t("There can be no other layer.")), key: "layers" });
  }
}
