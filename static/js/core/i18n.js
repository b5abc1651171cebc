/**
 * Texts in the painter's language. The English text is the key, so that the code reads as the page does; what a
 * catalogue lacks stays English.
 *
 * @typedef {{texts: Record<string, string>, names: Record<string, string>}} Catalogue `texts` of the page itself, `names`
 *   of what comes as data: labels, their groups, lights, starter scenes
 */

/** @type {Catalogue} */
const ENGLISH = { texts: {}, names: {} };

let catalogue = ENGLISH;

/** @param {Catalogue | null} translated English → the language; null for English itself */
export function setCatalogue(translated) {
  catalogue = translated ?? ENGLISH;
}

/**
 * @param {string} text English, with `{name}` where values go
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(text, values = {}) {
  const found = catalogue.texts[text] ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * A name that came as data: of a label, a group, a light, a scene.
 *
 * @param {string} name English
 * @returns {string} in the painter's language, where that is known
 */
export function term(name) {
  return catalogue.names[name] ?? name;
}
