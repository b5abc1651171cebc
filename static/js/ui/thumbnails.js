/**
 * Small pictures of the painting in other lights, asked for one at a time while the hand rests and the photo is
 * finished, so that they never delay it. A change of the map stops the one under way; those that were shown stay until
 * new ones come. Policy only: time, network and canvas are behind ports.
 *
 * @typedef {{key: string, code: readonly number[] | null, seed: number}} Wish
 * @typedef {import("./lights.js").Painted} Painted
 * @typedef {{
 *   paint: (wish: Wish, signal: AbortSignal) => Promise<Painted>,
 *   quiet: () => boolean,
 *   now: () => number,
 *   wait: (milliseconds: number) => Promise<void>,
 *   onPicture: (key: string, painted: Painted) => void,
 * }} Ports `quiet`: whether nothing more urgent is to be painted
 */

/** The hand rests when nothing has changed for so long, in milliseconds. */
export const REST = 900;
const POLL = 250;
const FIRST_RETRY = 2_000;
const LAST_RETRY = 60_000;

export class Thumbnails {
  /** @param {Ports} ports */
  constructor(ports) {
    this.ports = ports;
    /** @type {readonly Wish[]} */
    this.wishes = [];
    /** Those of the present map, by key; null where it will not come. @type {Map<string, Painted | null>} */
    this.painted = new Map();
    this.changedAt = Number.NEGATIVE_INFINITY;
    /** @type {AbortController | null} */
    this.asking = null;
    this.running = false;
  }

  /** @param {readonly Wish[]} wishes what is to be shown, the most wanted first */
  want(wishes) {
    this.wishes = wishes;
    if (!this.running) this.#run();
  }

  /** The map or the model is another one: nothing that was painted holds any more. */
  changed() {
    this.changedAt = this.ports.now();
    this.painted.clear();
    this.asking?.abort();
    if (!this.running) this.#run();
  }

  /** @returns {Wish | undefined} the first that is not painted */
  get next() {
    return this.wishes.find(({ key }) => !this.painted.has(key));
  }

  async #run() {
    this.running = true;
    let failures = 0;
    while (this.next) {
      await this.#rest();
      const wish = this.next;
      if (!wish) break;
      const wait = await this.#ask(wish, failures);
      failures = wait > 0 ? failures + 1 : 0;
      if (wait > 0) await this.ports.wait(wait);
    }
    this.running = false;
  }

  async #rest() {
    const { quiet, now, wait } = this.ports;
    // At least once: whoever changes the map changes it again.
    do await wait(POLL);
    while (!quiet() || now() - this.changedAt < REST);
  }

  /**
   * @param {Wish} wish
   * @param {number} failures how often the server was not to be had lately
   * @returns {Promise<number>} milliseconds to leave it alone
   */
  async #ask(wish, failures) {
    const asking = new AbortController();
    this.asking = asking;
    try {
      const painted = await this.ports.paint(wish, asking.signal);
      if (asking.signal.aborted) return 0;
      this.painted.set(wish.key, painted);
      this.ports.onPicture(wish.key, painted);
      return 0;
    } catch (error) {
      if (asking.signal.aborted) return 0;
      const { status = -1, retryAfter = 0 } = /** @type {{status?: number, retryAfter?: number}} */ (error);
      // Busy or away, it may be back, and who is signed out may sign in; what else it refuses it will refuse again.
      if ([0, 401, 429].includes(status) || status >= 500) {
        return Math.max(1000 * retryAfter, Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures));
      }
      this.painted.set(wish.key, null);
      return 0;
    } finally {
      this.asking = null;
    }
  }
}
