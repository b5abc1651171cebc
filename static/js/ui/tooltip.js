/**
 * One tooltip for everything with `data-tip`, placed where there is room. For the eye only: names and shortcuts are
 * in the elements' own attributes.
 */
import { byId, make } from "./dom.js";

const DELAY = 450;

export function mountTooltip() {
  const tip = byId("tooltip", HTMLElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const hide = () => {
    clearTimeout(timer);
    tip.hidden = true;
  };

  const show = (/** @type {HTMLElement} */ owner) => {
    const { tip: title = "", tipHint, tipKeys } = owner.dataset;
    const line = make("span", { class: "tip-title" }, title);
    if (tipKeys) line.append(make("kbd", {}, tipKeys));
    tip.replaceChildren(line);
    if (tipHint) tip.append(make("span", { class: "tip-hint" }, tipHint));
    tip.hidden = false;
    place(tip, owner.getBoundingClientRect());
  };

  const from = (/** @type {Event} */ event) =>
    event.target instanceof Element
      ? /** @type {HTMLElement | null} */ (event.target.closest("[data-tip]"))
      : null;

  addEventListener("pointerover", (event) => {
    const owner = from(event);
    if (!owner || event.pointerType !== "mouse") return;
    clearTimeout(timer);
    timer = setTimeout(() => show(owner), DELAY);
  });
  addEventListener("pointerout", hide);
  addEventListener("pointerdown", hide);
  addEventListener("keydown", hide);
  addEventListener("focusin", (event) => {
    const owner = from(event);
    if (owner?.matches(":focus-visible")) show(owner);
  });
  addEventListener("focusout", hide);
}

/**
 * Below the owner, or above it where there is no room; never over the edge.
 *
 * @param {HTMLElement} tip
 * @param {DOMRect} owner
 */
function place(tip, owner) {
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(innerWidth - width - 8, Math.max(8, owner.left + owner.width / 2 - width / 2));
  const below = owner.bottom + 8;
  const y = below + height < innerHeight - 8 ? below : owner.top - height - 8;
  tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
}
