/** Dialogs that are made here and not in the page. */
import { t } from "../core/i18n.js";
import { icon, make } from "./dom.js";
import { closeOnBackdrop } from "./help.js";

/**
 * @param {string} id
 * @param {string} title
 * @param {Node[]} content
 * @returns {HTMLDialogElement} at the end of the page, closed
 */
export function dialogOf(id, title, ...content) {
  const name = `${id}-name`;
  const close = make(
    "button",
    { type: "button", class: "button square", "data-close": "", "aria-label": t("Close") },
    icon("close"),
  );
  const head = make("header", { class: "dialog-head" }, make("h2", { id: name }, title), close);
  const dialog = make("dialog", { id, "aria-labelledby": name }, head, ...content);
  document.body.append(dialog);
  closeOnBackdrop(dialog);
  return dialog;
}

/**
 * @param {string} text
 * @param {() => void} run
 * @param {{icon?: string, class?: string, label?: string}} [more] `label`: what it is called where `text` alone says too
 *   little
 * @returns {HTMLButtonElement}
 */
export function buttonOf(text, run, { icon: name, class: kind = "button", label } = {}) {
  const button = make("button", { type: "button", class: kind }, ...(name ? [icon(name)] : []), text);
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", run);
  return button;
}
