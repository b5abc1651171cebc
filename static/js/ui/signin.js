/**
 * Signing in and out: the dialog that asks for a token, and what the page knows of who is in. The token goes to the server
 * and is kept nowhere here; what this browser remembers is only that there was one.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").Refusal & {status?: number}} Failure
 * @typedef {{
 *   post: (token: string) => Promise<void>,
 *   remove: () => Promise<void>,
 *   session: () => Promise<{required: boolean, signedIn: boolean, name: string | null}>,
 *   changed: () => void,
 *   dismiss: (key: string) => void,
 * }} Ports `post` rejects with a status of 401 when the token is not known; `changed`: who we are to the server;
 *   `dismiss`: a notice
 */
import { t } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { tokenOf } from "../core/token.js";
import { buttonOf, dialogOf } from "./dialog.js";
import { make } from "./dom.js";
import { noticeOf } from "./studio.js";

/** What this browser remembers by: whether somebody has signed in and not out again. */
const KEY = "signed-in";
/** Milliseconds after which a stroke that is under way is looked at again. */
const STROKE = 100;

export class SignIn {
  /**
   * @param {Studio} studio
   * @param {import("./door.js").Door} door
   * @param {Ports} ports
   */
  constructor(studio, door, ports) {
    this.studio = studio;
    this.door = door;
    this.ports = ports;
    this.lead = make("p", { class: "lead" });
    this.field = make("input", {
      id: "token",
      class: "field",
      type: "password",
      autocomplete: "current-password",
      autocapitalize: "none",
      spellcheck: "false",
      autofocus: "",
      "aria-describedby": "token-error",
    });
    this.error = make("p", { id: "token-error", class: "token-error", role: "alert" });
    this.enterButton = make("button", { type: "submit", class: "button primary" }, t("Open the studio"));
    const form = make(
      "form",
      { novalidate: "" },
      make("label", { for: "token" }, t("Token")),
      this.field,
      this.error,
      make(
        "div",
        { class: "dialog-buttons" },
        buttonOf(t("Not now"), () => this.dialog.close()),
        this.enterButton,
      ),
    );
    this.dialog = dialogOf("sign-in", t("This studio needs a token"), this.lead, form);
    this.dialog.classList.add("narrow");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.dialog.addEventListener("close", () => this.#closed());
    studio.store.watch(["session"], ({ session }) => {
      for (const [action, when] of [
        ["sign-in", "out"],
        ["sign-out", "in"],
      ]) {
        const button = document.querySelector(`button[data-action=${action}]`);
        if (button instanceof HTMLElement) button.hidden = session !== when;
      }
    });
  }

  /** Ask for a token; a stroke that is under way is finished first. */
  async show() {
    this.studio.store.set({ session: "out" });
    while (this.studio.hand.pressing) await new Promise((resolve) => setTimeout(resolve, STROKE));
    if (!this.door.isShut || this.dialog.open) return;
    this.lead.textContent =
      recall(KEY) === true
        ? t("Yours is no longer known here: it may have expired, or been taken back. Paste another one.")
        : t("Whoever runs it can give you one. What you paint stays in this browser meanwhile.");
    this.#complain("");
    this.dialog.showModal();
  }

  /**
   * A token came with the address, and is on its way to the server.
   *
   * @param {string} token
   * @param {Promise<void>} posted
   */
  async arrived(token, posted) {
    try {
      await posted;
    } catch (error) {
      if (nobodyAsks(error)) return;
      this.door.shut();
      await this.show();
      this.field.value = token;
      this.#complain(reasonOf(error));
      return;
    }
    const { isShut } = this.door;
    this.#entered();
    if (!isShut) this.ports.changed();
    this.#look();
  }

  /** The door has opened, whoever did it. */
  opened() {
    if (this.studio.state.session === "out") {
      this.studio.store.set({ session: "none" });
      this.#look();
    }
    this.ports.dismiss("sign-in");
    this.dialog.close();
  }

  /** The page is up, and has time to ask who is in. */
  greet() {
    if (recall(KEY) === true) this.#look();
  }

  async leave() {
    try {
      await this.ports.remove();
    } catch (error) {
      this.studio.ports.say({ ...noticeOf(error, t("You could not be signed out.")), key: "sign-in" });
      return;
    }
    remember(KEY, false);
    this.studio.store.set({ session: "none" });
    this.studio.ports.say({
      what: t("You are signed out."),
      next: t("Your paintings stay in this browser."),
      key: "sign-in",
    });
    this.ports.changed();
  }

  async #submit() {
    const token = tokenOf(this.field.value);
    if (!token) {
      this.#complain(t("Paste your token first."));
      return;
    }
    this.enterButton.disabled = true;
    try {
      await this.ports.post(token);
      const { signedIn, required } = await this.ports.session();
      if (signedIn || !required) this.#entered();
      else this.#complain(t("This browser did not keep the sign-in. Allow cookies for this address."));
    } catch (error) {
      if (nobodyAsks(error)) this.door.open();
      else this.#complain(reasonOf(error));
    }
    this.enterButton.disabled = false;
    if (this.dialog.open) this.field.focus();
    else if (this.studio.state.session === "in") this.#look();
  }

  #entered() {
    remember(KEY, true);
    this.field.value = "";
    this.studio.store.set({ session: "in" });
    this.door.open();
  }

  /** Whoever closes the dialog paints on without photos, and finds the way back. */
  #closed() {
    this.field.value = "";
    if (!this.door.isShut) return;
    this.door.leave();
    this.studio.ports.say({
      what: t("Without a token there are no photos."),
      next: t("You can paint on; everything stays in this browser."),
      lasting: true,
      key: "sign-in",
      action: { title: t("Sign in"), run: () => this.show() },
    });
  }

  /** Who is in, as the server says: it is told by the button that leads out. */
  async #look() {
    try {
      const { signedIn, name } = await this.ports.session();
      remember(KEY, signedIn);
      this.studio.store.set({ session: signedIn ? "in" : "none" });
      const button = document.querySelector("button[data-action=sign-out]");
      if (name && button instanceof HTMLElement) {
        button.dataset.tipHint = t("You are signed in as {name}.", { name });
      }
    } catch {
      // The status line says whether the server is there.
    }
  }

  /** @param {string} reason "" for none */
  #complain(reason) {
    this.error.textContent = reason;
    this.field.setAttribute("aria-invalid", String(reason !== ""));
  }
}

/** @param {unknown} error @returns {boolean} whether the server lets everybody in: a link may be older than that */
function nobodyAsks(error) {
  return /** @type {Failure} */ (error).status === 404;
}

/** @param {unknown} error @returns {string} why a token did not open the door, and what to do */
function reasonOf(error) {
  if (/** @type {Failure} */ (error).status === 401) {
    return t(
      "This token is not known here. It may be mistyped or have expired; ask whoever gave it to you for another.",
    );
  }
  const { what, why, next } = noticeOf(error, t("You could not be signed in."));
  return [what, why, next].filter(Boolean).join(" ");
}
