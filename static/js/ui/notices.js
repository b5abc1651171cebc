/**
 * Calm notices in a corner: what happened, why, what to do next. One of each kind at a time. They go by themselves, but
 * for those that last: errors that offer something to do, and what is going on.
 *
 * @typedef {import("./studio.js").Notice} Notice
 */
import { t } from "../core/i18n.js";
import { icon, make } from "./dom.js";

/** Milliseconds. */
const STAYS = { calm: 7_000, error: 10_000 };
/** So long a tap that was meant for a notice which has just gone does nothing, in milliseconds. */
const SWALLOWS = 400;

export class Notices {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    /** @type {Map<string, HTMLElement>} */
    this.shown = new Map();
  }

  /** @param {Notice} notice */
  say(notice) {
    const { what, why, next, tone = "calm", action, key = what } = notice;
    const { lasting = tone === "error" && action !== undefined } = notice;
    this.dismiss(key, false);
    const text = make("div", { class: "notice-text" }, make("strong", {}, what));
    const rest = [why, next].filter(Boolean).join(" ");
    if (rest) text.append(make("p", {}, rest));
    const box = make("div", { class: `notice ${tone}`, role: tone === "error" ? "alert" : "status" }, text);
    if (action) {
      const button = make("button", { type: "button", class: "notice-action" }, action.title);
      button.addEventListener("click", () => {
        this.dismiss(key);
        action.run();
      });
      text.append(button);
    }
    const close = make(
      "button",
      { type: "button", class: "notice-close", "aria-label": t("Dismiss") },
      icon("close"),
    );
    close.addEventListener("click", () => this.dismiss(key));
    box.append(close);
    this.host.append(box);
    this.shown.set(key, box);
    if (!lasting) this.#leaveLater(key, box, STAYS[tone]);
  }

  /**
   * @param {string} key
   * @param {boolean} [swallows] whether a tap that comes too late for it goes nowhere; else it reaches what was below
   */
  dismiss(key, swallows = true) {
    const box = this.shown.get(key);
    if (!box) return;
    this.shown.delete(key);
    const { left, top, width, height } = box.getBoundingClientRect();
    box.remove();
    if (!swallows) return;
    const gone = make("div", { class: "notice-gone" });
    gone.style.translate = `${left}px ${top}px`;
    gone.style.width = `${width}px`;
    gone.style.height = `${height}px`;
    this.host.append(gone);
    setTimeout(() => gone.remove(), SWALLOWS);
  }

  /**
   * Stays while a pointer or the focus is on it.
   *
   * @param {string} key
   * @param {HTMLElement} box
   * @param {number} stays milliseconds
   */
  #leaveLater(key, box, stays) {
    const timer = setInterval(() => {
      if (box.matches(":hover, :focus-within")) return;
      clearInterval(timer);
      if (this.shown.get(key) === box) this.dismiss(key);
    }, stays);
  }
}
