/** A refusal that a person can act on: what is wrong, why, and what to do next. */
export class DocumentError extends Error {
  /**
   * @param {string} what
   * @param {string} why
   * @param {string} next
   */
  constructor(what, why, next) {
    super(`${what} ${why} ${next}`);
    this.name = "DocumentError";
    this.what = what;
    this.why = why;
    this.next = next;
  }
}
