/**
 * A refusal that a person can act on: what is wrong, why, and what to do next. Texts are English; `said` keeps them as they
 * were before their values went in, for whoever shows them in another language.
 *
 * @typedef {Record<string, string | number>} Values
 */
export class DocumentError extends Error {
  /**
   * @param {string} what each of the three may name values in braces: "It has {count} pixels."
   * @param {string} why
   * @param {string} next
   * @param {Values} [values]
   */
  constructor(what, why, next, values = {}) {
    const [filledWhat, filledWhy, filledNext] = [what, why, next].map((text) => filled(text, values));
    super([filledWhat, filledWhy, filledNext].filter(Boolean).join(" "));
    this.name = "DocumentError";
    this.what = filledWhat;
    this.why = filledWhy;
    this.next = filledNext;
    this.said = { what, why, next, values };
  }
}

/** @param {string} text @param {Values} values */
function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
