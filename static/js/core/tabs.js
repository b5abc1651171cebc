/**
 * Tabs of one browser agree who works on what: each holds at most one thing by its name, and can be asked to let go of it.
 * Web Locks know even of tabs that hang; where they are missing, over plain http, tabs ask each other and believe that
 * nobody is there who does not answer.
 *
 * @typedef {{kind: "who" | "mine" | "yield" | "free", name: string, from: string}} Message
 */

/** Milliseconds in which a tab that is alive answers. */
const ANSWERS = 150;
/** Milliseconds in which it writes down what it has, and lets go. */
const YIELDS = 3_000;

export class Tabs {
  /**
   * @param {{me: string, channel: BroadcastChannel | null, locks: LockManager | null,
   *   onAsked: (name: string) => Promise<void>}} given `me`: unlike any other tab; `onAsked`: another one wants what this
   *   one holds, which is let go of when the promise is kept
   */
  constructor({ me, channel, locks, onAsked }) {
    this.me = me;
    this.channel = channel;
    this.locks = locks;
    this.onAsked = onAsked;
    /** @type {string | null} */
    this.held = null;
    this.release = () => {};
    /** @type {Set<(message: Message) => void>} */
    this.waiting = new Set();
    channel?.addEventListener("message", ({ data }) => this.#hear(data));
  }

  /**
   * Hold this and let go of what was held before.
   *
   * @param {string} name
   * @returns {Promise<boolean>} false: another tab holds it
   */
  async claim(name) {
    return this.held === name || this.#get(name, { ifAvailable: true });
  }

  /** Ask the tab that holds it to let go, and hold it. @param {string} name */
  async takeOver(name) {
    if (this.held === name) return;
    const free = this.#hears(name, "free", YIELDS);
    this.#say("yield", name);
    await free;
    // Who has not answered by now hangs, and finds out later that somebody else has written.
    if (!(await this.#get(name, { ifAvailable: true }))) await this.#get(name, { steal: true });
  }

  /** @param {string} name @param {LockOptions} how @returns {Promise<boolean>} */
  async #get(name, how) {
    if (!this.locks) {
      const taken = how.ifAvailable && this.channel && (await this.#isTaken(name));
      if (!taken) this.#hold(name, () => {});
      return !taken;
    }
    return new Promise((resolve) => {
      this.locks
        ?.request(`scenebrush/${name}`, how, (lock) => {
          if (!lock) {
            resolve(false);
            return;
          }
          return new Promise((/** @type {(value?: unknown) => void} */ done) => {
            this.#hold(name, done);
            resolve(true);
          });
        })
        // Somebody has taken it away.
        .catch(() => this.#lose(name));
    });
  }

  /** @param {string} name */
  #isTaken(name) {
    const answer = this.#hears(name, "mine", ANSWERS);
    this.#say("who", name);
    return answer;
  }

  /** @param {string} name @param {() => void} release */
  #hold(name, release) {
    this.release();
    this.held = name;
    this.release = release;
  }

  /** @param {string} name */
  async #lose(name) {
    if (this.held !== name) return;
    await this.onAsked(name);
    if (this.held !== name) return;
    this.held = null;
    this.release();
    this.release = () => {};
  }

  /** @param {Message} message */
  #hear(message) {
    for (const listener of this.waiting) listener(message);
    if (message.name !== this.held) return;
    if (message.kind === "who") this.#say("mine", message.name);
    if (message.kind === "yield") this.#lose(message.name).then(() => this.#say("free", message.name));
  }

  /** @param {Message["kind"]} kind @param {string} name */
  #say(kind, name) {
    this.channel?.postMessage({ kind, name, from: this.me });
  }

  /** @param {string} name @param {Message["kind"]} kind @param {number} patience @returns {Promise<boolean>} */
  #hears(name, kind, patience) {
    return new Promise((resolve) => {
      const done = (/** @type {boolean} */ heard) => {
        clearTimeout(timer);
        this.waiting.delete(listener);
        resolve(heard);
      };
      const listener = (/** @type {Message} */ message) => {
        if (message.kind === kind && message.name === name) done(true);
      };
      const timer = setTimeout(() => done(false), patience);
      this.waiting.add(listener);
    });
  }
}
