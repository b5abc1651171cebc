/**
 * How a server that many paint on says so, in words. Pure.
 *
 * @typedef {{level: "normal" | "slower" | "smaller", painters: number}} Load
 */
import { t } from "../core/i18n.js";

/**
 * @param {Load} load
 * @returns {{text: string, more: string, why: string}} `text` for the status line, and `more` where that has room; `why`:
 *   a whole explanation, the same however many they are; all empty when there is nothing to say
 */
export function loadText({ level, painters }) {
  if (level === "slower") {
    return {
      text: t("Busy: {painters} painters, fewer frames", { painters }),
      more: "",
      why: t(
        "Many are painting here, so the photo follows in fewer steps. Nothing of your painting is lost.",
      ),
    };
  }
  if (level === "smaller") {
    return {
      text: t("Busy: {painters} painters, smaller previews", { painters }),
      more: t("Full photo when you pause."),
      why: t(
        "Many are painting here, so the photo is painted smaller while you paint, and whole as soon as you pause.",
      ),
    };
  }
  return { text: "", more: "", why: "" };
}
