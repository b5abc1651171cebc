/**
 * The lights that somebody liked: a strip of small pictures, remembered in this browser.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {{title: string, seed: number, style: string | null, code: readonly number[], own: boolean, model: string,
 *   picture: string}} KeptLight `own`: it was its seed's own light; `picture`: a data URL
 */
import { t, term } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { sameCode } from "../document/light.js";
import { icon, make } from "./dom.js";

export const MOST = 24;
const LARGEST_PICTURE = 64 * 1024;

/**
 * @param {unknown} value what a browser remembered
 * @returns {KeptLight[]} those entries that are lights
 */
export function readKept(value) {
  return Array.isArray(value) ? value.filter(isKept).slice(0, MOST) : [];
}

/** @param {any} value */
function isKept(value) {
  const { title, seed, style, code, own, model, picture } = value ?? {};
  return (
    [title, model].every((text) => typeof text === "string") &&
    (style === null || typeof style === "string") &&
    Number.isInteger(seed) &&
    typeof own === "boolean" &&
    Array.isArray(code) &&
    code.every(Number.isFinite) &&
    typeof picture === "string" &&
    picture.length <= LARGEST_PICTURE &&
    /^data:image\/(jpeg|png|webp);base64,/.test(picture)
  );
}

export class KeptLights {
  constructor() {
    /** The latest first. @type {readonly KeptLight[]} */
    this.list = readKept(recall("lights"));
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {KeptLight} light goes first; one that was kept already moves there */
  add(light) {
    const others = this.list.filter(({ seed, code }) => seed !== light.seed || !sameCode(code, light.code));
    this.#set([light, ...others].slice(0, MOST));
  }

  /** @param {KeptLight} light */
  remove(light) {
    this.#set(this.list.filter((one) => one !== light));
  }

  /** Another tab has changed it. */
  reload() {
    this.list = readKept(recall("lights"));
    for (const listener of this.listeners) listener();
  }

  /** @param {readonly KeptLight[]} list */
  #set(list) {
    this.list = list;
    remember("lights", list);
    for (const listener of this.listeners) listener();
  }
}

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 */
export function mountStrip(host, studio) {
  const { lights } = studio;
  const { kept } = lights;

  const entry = (/** @type {KeptLight} */ light) => {
    const fits = studio.codeFor(light) !== null;
    const image = make("img", { alt: "", src: light.picture, draggable: "false" });
    const choose = make(
      "button",
      { type: "button", class: "kept-light", "data-tip": term(light.title) },
      image,
      make("span", { class: "unseen" }, term(light.title)),
    );
    choose.dataset.tipHint = fits
      ? t("Seed {seed}. A locked seed stays as it is.", { seed: light.seed })
      : t("{model} does not know this light.", { model: studio.model.name });
    choose.disabled = !fits;
    choose.addEventListener("click", () => lights.chooseKept(light));
    const title = t("Forget {title}", { title: term(light.title) });
    const remove = make(
      "button",
      { type: "button", class: "kept-remove", "aria-label": title, "data-tip": title },
      icon("close"),
    );
    remove.addEventListener("click", () => {
      kept.remove(light);
      /** @type {HTMLElement | null} */ (host.querySelector("button"))?.focus();
    });
    return make("li", {}, choose, remove);
  };

  const show = () => {
    if (studio.state.models.length === 0) return;
    host.replaceChildren(
      kept.list.length > 0
        ? make(
            "ul",
            { class: "kept-lights", "aria-label": t("Lights that you kept") },
            ...kept.list.map(entry),
          )
        : make("p", { class: "quiet" }, t("The heart keeps a light here.")),
    );
  };

  kept.listeners.add(show);
  addEventListener("storage", ({ key }) => {
    if (key === "scenebrush.lights") kept.reload();
  });
  studio.store.watch(["model", "models"], show);
}
