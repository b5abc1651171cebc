/** From the change of a label to the picture that shows it. Pure. */
export class Latency {
  constructor() {
    /** @type {{revision: number, since: number}[]} */
    this.sent = [];
  }

  /** A new epoch counts anew. */
  reset() {
    this.sent = [];
  }

  /**
   * @param {number} revision
   * @param {number} since when the change was made, milliseconds
   */
  track(revision, since) {
    this.sent.push({ revision, since });
  }

  /**
   * @param {number} revision that a picture shows
   * @param {number} time when it was shown
   * @returns {number | null} milliseconds since the newest change in it; null when it shows nothing new
   */
  shown(revision, time) {
    const fresh = this.sent.filter((entry) => entry.revision <= revision).at(-1);
    if (!fresh) return null;
    this.sent = this.sent.filter((entry) => entry.revision > revision);
    return time - fresh.since;
  }
}
