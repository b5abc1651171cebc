/**
 * What to send next: pure policy, no clock, no socket. Changes pile up as one dirty rectangle until somebody asks;
 * whatever happens while the line is down is covered by the whole map that starts the next epoch.
 *
 * @typedef {import("./protocol.js").Rect} Rect
 * @typedef {{what: "whole" | "style", epoch: number, revision: number, since: number}
 *   | {what: "patch", epoch: number, revision: number, since: number, rect: Rect}} Parcel
 *   `since`: when the oldest change in it was made
 */

/** While so many bytes wait in the socket, changes are better merged here. */
export const MAX_BUFFERED = 256 * 1024;

export class Outbox {
  constructor() {
    /** @type {"shut" | "opening" | "ready"} */
    this.phase = "shut";
    this.epoch = 0;
    this.revision = 0;
    this.whole = false;
    this.style = false;
    /** @type {Rect | null} */
    this.dirty = null;
    /** @type {number | null} */
    this.since = null;
  }

  /**
   * A new stretch: everything known so far is void.
   *
   * @param {number} time
   * @returns {number} its epoch
   */
  open(time) {
    this.phase = "opening";
    this.epoch++;
    this.revision = 0;
    this.#wantWhole(false);
    this.since = time;
    return this.epoch;
  }

  shut() {
    this.phase = "shut";
  }

  /** @param {number} epoch */
  ready(epoch) {
    if (epoch === this.epoch && this.phase === "opening") this.phase = "ready";
  }

  /**
   * The server missed something. A light that was changed meanwhile may be among it, so it is said again.
   *
   * @param {number} epoch
   */
  resync(epoch) {
    if (epoch === this.epoch && this.phase === "ready") this.#wantWhole(true);
  }

  /**
   * @param {Rect} rect labels that changed
   * @param {number} time
   */
  mark(rect, time) {
    this.since ??= time;
    if (!this.whole) this.dirty = join(this.dirty, rect);
  }

  /** @param {number} time */
  markStyle(time) {
    this.since ??= time;
    this.style = true;
  }

  /** Whether anything waits to be sent on this line. */
  get pending() {
    return this.phase === "ready" && (this.whole || this.style || this.dirty !== null);
  }

  /**
   * @param {number} buffered bytes that the socket has not sent yet
   * @returns {Parcel | null} each with a revision of its own, one more than the last
   */
  next(buffered) {
    if (!this.pending || buffered > MAX_BUFFERED) return null;
    const since = this.since ?? 0;
    const head = { epoch: this.epoch, revision: ++this.revision, since };
    if (this.whole) {
      this.whole = false;
      if (!this.style) this.since = null;
      return { what: "whole", ...head };
    }
    if (this.style) {
      this.style = false;
      if (!this.dirty) this.since = null;
      return { what: "style", ...head };
    }
    const rect = /** @type {Rect} */ (this.dirty);
    this.dirty = null;
    this.since = null;
    return { what: "patch", rect, ...head };
  }

  /** @param {boolean} style */
  #wantWhole(style) {
    this.whole = true;
    this.style = style;
    this.dirty = null;
  }
}

/**
 * @param {Rect | null} a
 * @param {Rect} b
 * @returns {Rect}
 */
function join(a, b) {
  if (!a) return b;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return {
    x,
    y,
    width: Math.max(a.x + a.width, b.x + b.width) - x,
    height: Math.max(a.y + a.height, b.y + b.height) - y,
  };
}
