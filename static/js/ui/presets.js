/**
 * The lights that the model offers by name, as a row of small pictures of this very painting: the chosen one is pressed,
 * and pressing it again goes back to the seed's own light. One stop for the keyboard: Tab reaches the chosen one, arrows
 * walk the row.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").NamedStyle} NamedStyle
 */
import { term } from "../core/i18n.js";
import { make } from "./dom.js";
import { Thumbnails } from "./thumbnails.js";

/**
 * @param {HTMLElement} host hidden while the model offers none
 * @param {Studio} studio
 * @param {Pick<import("./thumbnails.js").Ports, "quiet" | "now" | "wait">} ports
 */
export function mountPresets(host, studio, ports) {
  const row = /** @type {HTMLElement} */ (host.querySelector(".presets-row"));
  /** @type {Map<string, HTMLButtonElement>} */
  const buttons = new Map();
  /** @type {NamedStyle[] | null} */
  let shown = null;
  /** @type {string | undefined} */
  let chosen;

  const thumbnails = new Thumbnails({
    ...ports,
    paint: async (wish, signal) => studio.ports.paintSmall(await studio.smallRequest(wish), signal),
    onPicture: (key, { picture }) => {
      const image = buttons.get(key)?.querySelector("img");
      if (!image) return;
      image.src = picture;
      image.hidden = false;
    },
  });

  const build = (/** @type {NamedStyle[]} */ styles) => {
    if (styles === shown) return;
    shown = styles;
    buttons.clear();
    row.replaceChildren(...styles.map(button));
  };

  const button = (/** @type {NamedStyle} */ { id, title }) => {
    const image = make("img", { alt: "", draggable: "false", hidden: "" });
    const name = make("span", { class: "preset-name" }, term(title));
    const made = make("button", { type: "button", class: "preset", "data-preset": id }, image, name);
    made.addEventListener("click", () => studio.lights.toggle(id));
    made.addEventListener("focus", () => stopAt(id));
    buttons.set(id, made);
    return made;
  };

  /** Where Tab stops. @param {string | undefined} stop */
  const stopAt = (stop) => {
    for (const [id, made] of buttons) made.tabIndex = id === stop ? 0 : -1;
  };

  const stopAtChosen = () => stopAt(chosen ?? shown?.[0]?.id);

  row.addEventListener("focusout", ({ relatedTarget }) => {
    if (!row.contains(/** @type {Node | null} */ (relatedTarget))) stopAtChosen();
  });

  // Where the row is longer than the screen is wide: a mouse's wheel turns one way only.
  row.addEventListener("wheel", ({ deltaX, deltaY }) => deltaX || row.scrollBy(deltaY, 0), { passive: true });

  row.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's: a page back, say
    const all = [...buttons.values()];
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const step = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    all.at(step % all.length)?.focus();
  });

  studio.store.watch(
    ["document", "model", "models", "style", "plane", "region", "regions"],
    ({ document: painting, models }) => {
      const styles = painting && models.length > 0 ? studio.model.styles : [];
      build(styles);
      host.hidden = styles.length === 0;
      const style = painting && studio.lights.chosen.style;
      chosen = style && buttons.has(style) ? style : undefined;
      for (const [id, made] of buttons) made.setAttribute("aria-pressed", String(id === chosen));
      if (!host.contains(document.activeElement)) stopAtChosen();
      if (chosen) buttons.get(chosen)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  );

  studio.store.watch(["document", "model", "models"], ({ document: painting }) => {
    const styles = painting ? (shown ?? []) : [];
    thumbnails.changed();
    // The seed's noise does not show at that size: one picture serves every seed.
    thumbnails.want(styles.map(({ id, code }) => ({ key: id, code, seed: studio.document.seed })));
  });
  studio.follow(({ rect, plane }) => {
    if (rect && plane === "labels") thumbnails.changed();
  });
}
