/**
 * Sharing by a link: the project goes to the server, and the link comes back. What was shared from here is listed, because
 * only who shared it can take it back: the token for that stays in this browser.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {{id: string, url: string, deleteToken: string, expires: string | null, title: string}} Shared
 */
import { t } from "../core/i18n.js";
import { PROJECT_TYPE } from "../document/project.js";
import { buttonOf, dialogOf } from "./dialog.js";
import { make } from "./dom.js";
import { noticeOf } from "./studio.js";

const KEY = "scenebrush-shares";
const MOST = 50;

export class Sharing {
  /**
   * @param {Studio} studio
   * @param {{
   *   pack: () => Promise<Uint8Array>,
   *   post: (project: Uint8Array, type: string) => Promise<Omit<Shared, "title">>,
   *   remove: (share: Shared) => Promise<void>,
   *   origin: string,
   * }} ports
   */
  constructor(studio, ports) {
    this.studio = studio;
    this.ports = ports;
    this.list = make("ul", { class: "shares" });
    this.button = buttonOf(t("Make a link"), () => this.#share(), { class: "button primary" });
    this.dialog = dialogOf(
      "share",
      t("Share by a link"),
      make(
        "p",
        { class: "lead" },
        t(
          "Whoever has the link can open a copy of this painting. The server keeps it until you delete it or it expires.",
        ),
      ),
      this.button,
      this.list,
    );
    this.dialog.classList.add("narrow");
    studio.store.watch(["sharing"], (state) => {
      const button = document.querySelector("button[data-action=share]");
      if (button instanceof HTMLElement) button.hidden = !state.sharing;
    });
  }

  show() {
    this.#update();
    this.dialog.showModal();
  }

  async #share() {
    const { title } = this.studio.document;
    this.button.disabled = true;
    try {
      const share = await this.ports.post(await this.ports.pack(), PROJECT_TYPE);
      keep([{ ...share, title }, ...kept()]);
      this.#update();
      this.list.querySelector("input")?.select();
    } catch (error) {
      this.#failed(error, t("The painting could not be shared."));
    }
    this.button.disabled = false;
  }

  /** @param {Shared} share */
  async #remove(share) {
    try {
      await this.ports.remove(share);
    } catch (error) {
      if (/** @type {{status?: number}} */ (error).status !== 404) {
        this.#failed(error, t("The link could not be deleted."));
        return;
      }
    }
    keep(kept().filter(({ id }) => id !== share.id));
    this.#update();
  }

  #update() {
    this.list.replaceChildren(...kept().map((share) => this.#item(share)));
  }

  /** @param {Shared} share */
  #item(share) {
    const { url, title, expires, id } = share;
    const field = make("input", {
      class: "field",
      readonly: "",
      "aria-label": t("Link to {title}", { title }),
    });
    field.value = `${this.ports.origin}${url}`;
    field.addEventListener("focus", () => field.select());
    const copy = buttonOf(t("Copy"), async () => {
      await copyText(field);
      copy.textContent = t("Copied");
    });
    const remove = buttonOf(t("Delete"), () => this.#remove(share), {
      label: t("Delete the link to {title}", { title }),
    });
    const about = expires ? t("{title}, until {date}", { title, date: dateOf(expires) }) : title;
    return make(
      "li",
      { class: "share", "data-share": id },
      make("span", { class: "share-about" }, about),
      make("div", { class: "field-row" }, field, copy, remove),
    );
  }

  /** A dialog lies over the notices. @param {unknown} error @param {string} what */
  #failed(error, what) {
    this.dialog.close();
    this.studio.ports.say(noticeOf(error, what));
  }
}

/** @returns {Shared[]} the latest first; none where the browser keeps nothing */
function kept() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list)
      ? list.filter(({ expires }) => !expires || Date.parse(expires) > Date.now())
      : [];
  } catch {
    return [];
  }
}

/** @param {Shared[]} shares */
function keep(shares) {
  try {
    localStorage.setItem(KEY, JSON.stringify(shares.slice(0, MOST)));
  } catch {
    // The link is shown all the same; it goes when it expires.
  }
}

/** Over plain http there is no clipboard to write to, but what is selected can be copied. @param {HTMLInputElement} field */
async function copyText(field) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(field.value).catch(() => field.select());
    return;
  }
  field.select();
  document.execCommand("copy");
}

/** @param {string} time ISO 8601 */
function dateOf(time) {
  return new Intl.DateTimeFormat(document.documentElement.lang || "en", { dateStyle: "medium" }).format(
    new Date(time),
  );
}
