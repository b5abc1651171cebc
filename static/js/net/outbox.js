/**
 * What to send next: pure policy, no clock, no socket. Changes pile up as a few dirty rectangles until somebody asks;
 * whatever happens while the line is down is covered by the whole planes that start the next epoch.
 *
 * What is taken at once is one batch: its parcels are sent together, and the server paints none of them before the last.
 *
 * @typedef {import("./protocol.js").Rect} Rect
 * @typedef {{epoch: number, revision: number, since: number, more: boolean}} Head
 *   `since`: when the oldest change in the batch was made; `more`: another parcel of the batch follows
 * @typedef {Head & ({what: "whole" | "light" | "whole styles"} | {what: "patch" | "style patch", rect: Rect})} Parcel
 */
import { Dirty } from "./dirty.js";

/** While so many bytes wait in the socket, changes are better merged here. */
export const MAX_BUFFERED = 256 * 1024;

export class Outbox {
  constructor() {
    /** @type {"shut" | "opening" | "ready"} */
    this.phase = "shut";
    this.epoch = 0;
    this.revision = 0;
    /** Everything is to be sent: the whole map, and the whole plane of styles if there are any. */
    this.whole = false;
    this.light = false;
    this.labels = new Dirty();
    this.styles = new Dirty();
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
    if (!this.whole) this.labels.add(rect);
  }

  /**
   * @param {Rect} rect style numbers that changed
   * @param {number} time
   */
  markStyles(rect, time) {
    this.since ??= time;
    if (!this.whole) this.styles.add(rect);
  }

  /**
   * Seed, style or the regions' styles changed.
   *
   * @param {number} time
   */
  markLight(time) {
    this.since ??= time;
    this.light = true;
  }

  /** Whether anything waits to be sent on this line. */
  get pending() {
    const waits = this.whole || this.light || !this.labels.empty || !this.styles.empty;
    return this.phase === "ready" && waits;
  }

  /**
   * Everything that waits, to be sent at once and in this order: style numbers mean nothing before the light that
   * they choose from.
   *
   * @param {number} buffered bytes that the socket has not sent yet
   * @param {() => boolean} hasStyles whether any pixel has a style number but 0, which is what they start with
   * @returns {Parcel[]} each with a revision of its own, one more than the last; none while nothing waits or the
   *   socket is busy
   */
  take(buffered, hasStyles) {
    if (!this.pending || buffered > MAX_BUFFERED) return [];
    /** @type {({what: "whole" | "light" | "whole styles"} | {what: "patch" | "style patch", rect: Rect})[]} */
    const contents = [];
    if (this.whole) contents.push({ what: "whole" });
    if (this.light) contents.push({ what: "light" });
    if (this.whole && hasStyles()) contents.push({ what: "whole styles" });
    for (const rect of this.labels.take()) contents.push({ what: "patch", rect });
    for (const rect of this.styles.take()) contents.push({ what: "style patch", rect });
    const { epoch, since } = this;
    this.whole = this.light = false;
    this.since = null;
    return contents.map((content, i) => ({
      ...content,
      epoch,
      revision: ++this.revision,
      since: since ?? 0,
      more: i < contents.length - 1,
    }));
  }

  /** @param {boolean} light */
  #wantWhole(light) {
    this.whole = true;
    this.light = light;
    this.labels.take();
    this.styles.take();
  }
}
