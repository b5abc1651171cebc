/**
 * Calm notices in a corner: what happened, why, what to do next. One of each kind at a time.
 *
 * @typedef {import("./studio.js").Notice} Notice
 */
import { t } from "../core/i18n.js";
import { icon, make } from "./dom.js";

const STAYS = 7_000;

export class Notices {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    /** @type {Map<string, HTMLElement>} */
    this.shown = new Map();
  }

  /** @param {Notice} notice */
  say(notice) {
    const { what, why, next, tone = "calm", action, key = what, lasting = tone === "error" } = notice;
    this.dismiss(key);
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
    if (!lasting) this.#leaveLater(key, box);
  }

  /** @param {string} key */
  dismiss(key) {
    this.shown.get(key)?.remove();
    this.shown.delete(key);
  }

  /**
   * Stays while a pointer or the focus is on it.
   *
   * @param {string} key
   * @param {HTMLElement} box
   */
  #leaveLater(key, box) {
    const timer = setInterval(() => {
      if (box.matches(":hover, :focus-within")) return;
      clearInterval(timer);
      if (this.shown.get(key) === box) this.dismiss(key);
    }, STAYS);
  }
}
