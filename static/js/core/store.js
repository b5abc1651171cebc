/**
 * A small observable record: the state that the page shows.
 *
 * @template {object} T
 */
export class Store {
  /** @param {T} state */
  constructor(state) {
    this.state = state;
    /** @type {Set<(state: T, changed: Set<keyof T>) => void>} */
    this.listeners = new Set();
  }

  /**
   * Listeners hear only of values that really differ.
   *
   * @param {Partial<T>} patch
   */
  set(patch) {
    /** @type {Set<keyof T>} */
    const changed = new Set();
    for (const key of /** @type {(keyof T)[]} */ (Object.keys(patch))) {
      if (!Object.is(this.state[key], patch[key])) changed.add(key);
    }
    if (changed.size === 0) return;
    this.state = { ...this.state, ...patch };
    for (const listener of this.listeners) listener(this.state, changed);
  }

  /**
   * @param {(keyof T)[]} keys
   * @param {(state: T) => void} listener called at once, and whenever one of the keys changes
   */
  watch(keys, listener) {
    this.listeners.add((state, changed) => {
      if (keys.some((key) => changed.has(key))) listener(state);
    });
    listener(this.state);
  }
}
