/**
 * Who may come in. Where the server wants a token it refuses the live line and requests; the door is shut then, and
 * somebody is asked. Requests wait behind it, and are made again when it opens, so that nothing that was wished for is
 * lost. Policy only: dialog and network are behind ports.
 *
 * @typedef {{
 *   ask: () => void,
 *   opened: () => void,
 *   refuses: (error: unknown) => boolean,
 * }} Ports `ask`: for a token; `opened`: what was refused can be tried again; `refuses`: whether an error means that a token
 *   is needed
 */

export class Door {
  /** @param {Ports} ports */
  constructor(ports) {
    this.ports = ports;
    this.isShut = false;
    /** Counts how often it was opened: a refusal from before that is none now. */
    this.times = 0;
    /** @type {{resolve: (opened: boolean) => void, patient: boolean}[]} */
    this.waiting = [];
  }

  /** A token is needed. Whoever has been asked, and has not answered yet, is left in peace. */
  shut() {
    if (this.isShut) return;
    this.isShut = true;
    this.ports.ask();
  }

  /** Somebody has signed in, here or in another window. */
  open() {
    if (!this.isShut) return;
    this.isShut = false;
    this.times++;
    for (const { resolve } of this.waiting.splice(0)) resolve(true);
    this.ports.opened();
  }

  /** Whoever was asked has no token at hand: what they waited for is refused, what nobody waits for goes on waiting. */
  leave() {
    const left = this.waiting;
    this.waiting = left.filter(({ patient }) => patient);
    for (const { resolve, patient } of left) if (!patient) resolve(false);
  }

  /**
   * A request that somebody waits for: they are asked for a token, even if they have been before.
   *
   * @template T
   * @param {() => Promise<T>} request
   * @returns {Promise<T>}
   * @throws whatever the request does, and its refusal when nobody signs in
   */
  through(request) {
    return this.#pass(request, false);
  }

  /**
   * A request that the page makes by itself: it waits however long it takes.
   *
   * @template T
   * @param {() => Promise<T>} request
   * @returns {Promise<T>}
   */
  patiently(request) {
    return this.#pass(request, true);
  }

  /**
   * @template T
   * @param {() => Promise<T>} request
   * @param {boolean} patient
   * @returns {Promise<T>}
   */
  async #pass(request, patient) {
    for (;;) {
      const { times } = this;
      try {
        return await request();
      } catch (error) {
        if (!this.ports.refuses(error)) throw error;
        if (times === this.times && !(await this.#opened(patient))) throw error;
      }
    }
  }

  /** @param {boolean} patient @returns {Promise<boolean>} whether somebody signed in */
  #opened(patient) {
    const opened = new Promise((/** @type {(opened: boolean) => void} */ resolve) => {
      this.waiting.push({ resolve, patient });
    });
    if (this.isShut && !patient) this.ports.ask();
    else this.shut();
    return opened;
  }
}
