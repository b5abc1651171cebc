/**
 * The page's language: the one that was chosen, else the browser's. It is set before anything is shown, since texts are
 * looked up where the page is made; another choice loads the page anew.
 */
import { setCatalogue, t } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { byId, icon, make } from "./dom.js";

/** Languages by their name in themselves. @type {Record<string, string>} */
export const LANGUAGES = { en: "English", "zh-CN": "简体中文" };

/** @param {readonly string[]} wanted the browser's, the dearest first @returns {string} */
export function languageOf(wanted) {
  for (const tag of wanted) {
    if (/^en\b/i.test(tag)) return "en";
    if (/^zh\b/i.test(tag)) return "zh-CN";
  }
  return "en";
}

/** Fetch the texts and put those into the page that it came with. */
export async function startLanguage() {
  const chosen = recall("language");
  const language =
    typeof chosen === "string" && chosen in LANGUAGES ? chosen : languageOf(navigator.languages);
  document.documentElement.lang = language;
  if (language === "en") return;
  try {
    const answer = await fetch(new URL(`../../locale/${language}.json`, import.meta.url));
    setCatalogue(await answer.json());
    translatePage(document);
  } catch {
    document.documentElement.lang = "en"; // better than nothing
  }
}

/** @param {ParentNode} root */
function translatePage(root) {
  for (const element of root.querySelectorAll("[data-i18n]")) {
    element.textContent = t(wordsOf(element.textContent ?? ""));
  }
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(wordsOf(element.getAttribute("aria-label") ?? "")));
  }
  for (const element of root.querySelectorAll("[data-i18n-hint]")) {
    element.setAttribute("placeholder", t(element.getAttribute("placeholder") ?? ""));
  }
}

/** Lines are broken where the page's source has room, not where the text wants it. @param {string} text */
function wordsOf(text) {
  return text.replace(/\s+/g, " ").trim();
}

/**
 * The button that offers the other language, in that language.
 *
 * @param {import("./studio.js").Studio} studio
 * @param {() => boolean} kept whether the painting would be there again
 */
export function mountLanguage(studio, kept) {
  const button = byId("language", HTMLButtonElement);
  const other = document.documentElement.lang === "en" ? "zh-CN" : "en";
  button.replaceChildren(icon("language"), make("span", {}, LANGUAGES[other]));
  button.lang = other;
  button.addEventListener("click", () => {
    remember("language", other);
    if (kept()) location.reload();
    else {
      studio.ports.say({
        what: t("The language changes with your next visit."),
        why: t("This browser does not keep your painting, and would lose it if the page were loaded anew."),
        key: "language",
      });
    }
  });
}
