/** The titles that the page itself gives to paintings. */
import { t } from "../core/i18n.js";

/**
 * @param {string} title as it is kept
 * @returns {string} in the painter's language where the page gave it; what somebody typed stays
 */
export function shownTitle(title) {
  const [own, number] = /^Painting(?: (\d+))?$/.exec(title) ?? [];
  if (!own) return title;
  return number ? t("Painting {number}", { number }) : t("Painting");
}
