/** A name that is edited where it stands. */
import { make } from "./dom.js";

const LONGEST = 60;

/**
 * A field in the place of an element, until Enter or leaving keeps what was typed, or Esc does not.
 *
 * @param {HTMLElement} owner out of sight meanwhile
 * @param {string} text
 * @param {(text: string) => void} keep called with another text that is not empty
 * @param {HTMLElement} [back] where the focus goes then
 */
export function editText(owner, text, keep, back = owner) {
  const field = make("input", {
    class: "rename",
    value: text,
    maxlength: String(LONGEST),
    "aria-label": text,
  });
  let open = true;
  const close = (/** @type {boolean} */ keeping) => {
    if (!open) return;
    open = false;
    const next = field.value.trim();
    const focused = document.activeElement === field;
    owner.hidden = false;
    field.remove();
    if (focused) back.focus();
    if (keeping && next !== "" && next !== text) keep(next);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    close(event.key === "Enter");
  });
  field.addEventListener("blur", () => close(true));
  owner.hidden = true;
  owner.after(field);
  field.focus();
  field.select();
}
