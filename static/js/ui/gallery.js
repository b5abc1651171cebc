/**
 * Your pieces: the paintings that this browser keeps, each with a small picture, and what can be done with them. It also
 * sees to it that no two tabs paint the same one.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./keeper.js").Keeper} Keeper
 * @typedef {import("./keeper.js").PaintingHead} PaintingHead
 * @typedef {import("../core/tabs.js").Tabs} Tabs
 * @typedef {import("./start.js").Draw} Draw
 */
import { t } from "../core/i18n.js";
import { newId } from "../core/ids.js";
import { LabelDocument } from "../document/document.js";
import { buttonOf, dialogOf } from "./dialog.js";
import { icon, make } from "./dom.js";
import { noticeOf } from "./studio.js";
import { shownTitle } from "./titles.js";

/** So many are shown at once, and so many more each time that somebody asks. */
const AT_ONCE = 48;
const MOST_TITLE = 80;

export class Gallery {
  /**
   * @param {Studio} studio
   * @param {{keeper: Keeper, tabs: Tabs, draw: Draw,
   *   saveProject: (document: LabelDocument, model: string | null) => Promise<void>}} given
   */
  constructor(studio, { keeper, tabs, draw, saveProject }) {
    this.studio = studio;
    this.keeper = keeper;
    this.tabs = tabs;
    this.draw = draw;
    this.saveProject = saveProject;
    this.most = AT_ONCE;
    /** Addresses of the pictures that are shown. @type {string[]} */
    this.addresses = [];
    this.list = make("ul", { class: "pieces" });
    this.none = make("p", { class: "lead" }, t("Nothing yet: what you paint is kept here, in this browser."));
    this.more = buttonOf(t("Show more"), () => {
      this.most += AT_ONCE;
      this.refresh();
    });
    this.dialog = dialogOf("gallery", t("Gallery"), this.none, this.list, this.more);
    this.dialog.addEventListener("close", () => this.#letGo());
  }

  async show() {
    this.most = AT_ONCE;
    await this.keeper.finish();
    await this.refresh();
    this.dialog.showModal();
    this.list.querySelector("button")?.focus();
  }

  async refresh() {
    const heads = await this.heads();
    this.#letGo();
    this.list.replaceChildren(...heads.slice(0, this.most).map((head) => this.#piece(head)));
    this.none.hidden = heads.length > 0;
    this.more.hidden = heads.length <= this.most;
  }

  /** @returns {Promise<PaintingHead[]>} of what a hand has touched, the latest first */
  async heads() {
    return (await this.keeper.heads().catch(() => [])).filter(({ touched }) => touched);
  }

  /**
   * Its small picture; its labels where it has none yet.
   *
   * @param {string} id
   * @returns {Promise<HTMLElement>}
   */
  async pictureOf(id) {
    const kept = await this.keeper.thumbnailOf(id);
    if (kept) {
      const address = URL.createObjectURL(kept);
      this.addresses.push(address);
      return make("img", { src: address, alt: "" });
    }
    const canvas = make("canvas", { "aria-hidden": "true" });
    const found = await this.keeper.open(id);
    if (found) this.draw(canvas, new LabelDocument(found.painting));
    return canvas;
  }

  /** @param {string} id @returns {Promise<boolean>} whether it is on the easel now */
  async open(id) {
    if (id === this.studio.state.document?.id) return true;
    try {
      const found = await this.keeper.open(id);
      if (found) this.studio.startKept(found.painting, found.model);
      return found !== null;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** The one that was last on the easel. @returns {Promise<boolean>} false: there is none */
  async openLast() {
    try {
      for (const { title } of await this.keeper.recover(copyOf)) this.#sayBoth(title);
      const [last] = await this.keeper.heads();
      return last !== undefined && (await this.open(last.id));
    } catch {
      // Saying so is left to the first attempt to keep something.
      return false;
    }
  }

  /**
   * What is on the easel goes on as a copy, because two tabs had it.
   *
   * @param {LabelDocument} document
   * @param {import("./keeper.js").Copied} why
   * @param {string} id of the other
   */
  copied(document, why, id) {
    const { title } = document;
    document.title = copyOf(title);
    if (why === "newer") {
      this.#sayBoth(document.title);
      return;
    }
    const taken = why === "taken";
    this.studio.ports.say({
      what: taken
        ? t("Another tab has taken over “{title}”.", { title })
        : t("“{title}” is open in another tab.", { title }),
      why: taken
        ? t("What you paint here from now on goes to a copy.")
        : t("This is a copy of it: what you paint here goes to the copy."),
      key: "tabs",
      lasting: true,
      action: { title: t("Take over"), run: () => this.#takeOver(id) },
    });
  }

  /** Another tab wants what is on the easel here. @param {string} id */
  async handOver(id) {
    await this.keeper.finish();
    const { document } = this.studio.state;
    if (document?.id !== id) return;
    document.gesture?.cancel();
    this.keeper.makeCopy(document, "taken");
  }

  /** @param {string} id */
  async #takeOver(id) {
    await this.tabs.takeOver(id);
    await this.open(id);
  }

  /** @param {string} title */
  #sayBoth(title) {
    this.studio.ports.say({
      what: t("Another tab has painted on the same piece."),
      why: t("Nothing is lost: both are kept, this one as “{title}”.", { title }),
      key: "tabs",
      lasting: true,
    });
  }

  /** @param {PaintingHead} head */
  #piece(head) {
    const { id } = head;
    const title = shownTitle(head.title);
    const frame = make("span", { class: "card-frame" });
    this.pictureOf(id).then(
      (picture) => frame.append(picture),
      () => {},
    );
    const name = make("span", { class: "card-title" }, title);
    const open = make("button", { type: "button", class: "card", "data-card": id }, frame, name);
    open.addEventListener("click", async () => {
      if (await this.open(id)) this.dialog.close();
    });
    const about = make(
      "span",
      { class: "piece-about" },
      ...aboutOf(head).map((one) => make("span", {}, one)),
    );
    const tools = make("div", { class: "piece-tools", role: "group", "aria-label": title });
    const item = make("li", { class: "piece", "data-piece": id }, open, about, tools);
    const tool = (/** @type {string} */ sign, /** @type {string} */ what, /** @type {() => void} */ run) => {
      const button = make(
        "button",
        {
          type: "button",
          class: "button square",
          "aria-label": `${what}: ${title}`,
          "data-tip": what,
          "data-do": sign,
        },
        icon(sign),
      );
      button.addEventListener("click", run);
      tools.append(button);
    };
    tool("rename", t("Rename"), () => this.#askTitle(item, head));
    tool("duplicate", t("Duplicate"), () => this.#try(() => this.#duplicate(head)));
    tool("save-project", t("Save as a project file"), () => this.#try(() => this.#save(id)));
    tool("delete", t("Delete"), () => this.#try(() => this.#remove(head)));
    if (id === this.studio.state.document?.id) item.dataset.here = "";
    return item;
  }

  /** @param {HTMLElement} item @param {PaintingHead} head */
  #askTitle(item, head) {
    const input = make("input", { class: "field", maxlength: String(MOST_TITLE), "aria-label": t("Title") });
    input.value = head.title;
    let over = false;
    const done = (/** @type {boolean} */ keep) => {
      if (over) return;
      over = true;
      const title = input.value.trim();
      if (keep && title && title !== head.title) this.#try(() => this.#rename(head, title));
      else this.refresh();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // Escape would close the dialog.
      event.preventDefault();
      done(event.key === "Enter");
    });
    input.addEventListener("blur", () => done(true));
    item.querySelector(".card")?.after(input);
    input.select();
    input.focus();
  }

  /** @param {PaintingHead} head @param {string} title */
  async #rename(head, title) {
    const { document, model } = this.studio.state;
    if (document?.id !== head.id) return this.keeper.rename(head.id, title);
    document.title = title;
    this.keeper.keep(document, model);
    await this.keeper.finish();
  }

  /** @param {PaintingHead} head */
  async #duplicate(head) {
    const { id, title } = head;
    await this.keeper.duplicate(id, newId(), copyOf(title));
  }

  /** @param {string} id */
  async #save(id) {
    const { document, model } = this.studio.state;
    if (document?.id === id) return this.saveProject(document, model);
    const found = await this.keeper.open(id);
    if (found) await this.saveProject(new LabelDocument(found.painting), found.model);
  }

  /** The one on the easel gives way to a clear one. @param {PaintingHead} head */
  async #remove({ id, title }) {
    const { studio, keeper } = this;
    const here = studio.state.document?.id === id ? studio.state.document : null;
    if (here) {
      studio.startBlank();
      await keeper.finish();
    }
    const putBack = await keeper.remove(id);
    this.studio.ports.say({
      what: t("“{title}” is deleted.", { title }),
      key: "new",
      lasting: true,
      action: {
        title: t("Undo"),
        run: async () => {
          await this.#try(putBack);
          if (here) studio.adopt(here);
        },
      },
    });
  }

  /** @param {() => Promise<void>} what */
  async #try(what) {
    try {
      await what();
    } catch (error) {
      this.#failed(error);
    }
    await this.refresh();
  }

  /** @param {unknown} error */
  #failed(error) {
    this.studio.ports.say(noticeOf(error, t("This browser’s storage did not do it.")));
  }

  #letGo() {
    for (const address of this.addresses.splice(0)) URL.revokeObjectURL(address);
  }
}

/** @param {string} title */
function copyOf(title) {
  return t("{title} (copy)", { title });
}

/** @param {PaintingHead} head @returns {string[]} */
function aboutOf({ updated, width, height, bytes }) {
  const date = new Intl.DateTimeFormat(document.documentElement.lang || "en", {
    dateStyle: "medium",
    timeStyle: "short",
  });
  const size = bytes ? [`${Math.max(1, Math.round(bytes / 1024)).toLocaleString("en")} KB`] : [];
  return [date.format(updated), `${width} × ${height}`, ...size];
}
