/**
 * A mailbox with one slot: the latest wins. Frames go through it on their way to the screen, so that a slow decoder
 * skips pictures and never falls behind. Pure: the consumer says when it is free.
 *
 * @template T
 */
export class Mailbox {
  constructor() {
    /** @type {T | null} */
    this.waiting = null;
    this.busy = false;
    /** How many were replaced before anyone saw them. */
    this.skipped = 0;
  }

  /**
   * @param {T} item
   * @returns {T | null} the item to work on now, or null when it has to wait for the one in work
   */
  put(item) {
    if (!this.busy) {
      this.busy = true;
      return item;
    }
    if (this.waiting !== null) this.skipped++;
    this.waiting = item;
    return null;
  }

  /** The item in work is finished. @returns {T | null} the next one to work on */
  done() {
    const next = this.waiting;
    this.waiting = null;
    this.busy = next !== null;
    return next;
  }
}
