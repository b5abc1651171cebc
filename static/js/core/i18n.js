/**
 * Texts in the painter's language. The English text is the key, so that the code reads as the page does; what a
 * catalogue lacks stays English.
 */

/** @type {Record<string, string>} */
let catalogue = {};

/** @param {Record<string, string>} texts English → translated; {} for English itself */
export function setCatalogue(texts) {
  catalogue = texts;
}

/**
 * @param {string} text English, with `{name}` where values go
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(text, values = {}) {
  const found = catalogue[text] ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
