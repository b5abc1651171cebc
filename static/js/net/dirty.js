/**
 * What has to be sent of a plane: a few rectangles, so that two dabs far apart do not drag everything between them
 * along. Pure.
 *
 * @typedef {import("./protocol.js").Rect} Rect
 */

/** Most rectangles: each is a message, and merging is worth a little more with each. */
export const MOST_RECTS = 4;
/** Pixels that are rather sent for nothing than in a message of their own. */
const CHEAP = 1024;

export class Dirty {
  constructor() {
    /** @type {Rect[]} */
    this.rects = [];
  }

  get empty() {
    return this.rects.length === 0;
  }

  /** @param {Rect} rect */
  add(rect) {
    this.rects.push(rect);
    for (;;) {
      const best = this.#bestPair();
      if (!best || (this.rects.length <= MOST_RECTS && !best.worthwhile)) return;
      this.rects[best.i] = best.joined;
      this.rects.splice(best.j, 1);
    }
  }

  /** @returns {Rect[]} all of them; none is left */
  take() {
    const { rects } = this;
    this.rects = [];
    return rects;
  }

  /** The two whose common rectangle holds the fewest pixels that neither of them has. */
  #bestPair() {
    /** @type {{i: number, j: number, joined: Rect, wasted: number, worthwhile: boolean} | null} */
    let best = null;
    for (let j = 1; j < this.rects.length; j++) {
      for (let i = 0; i < j; i++) {
        const joined = join(this.rects[i], this.rects[j]);
        const wasted =
          area(joined) - area(this.rects[i]) - area(this.rects[j]) + overlap(this.rects[i], this.rects[j]);
        if (best && wasted >= best.wasted) continue;
        best = { i, j, joined, wasted, worthwhile: wasted <= Math.max(CHEAP, area(joined) / 4) };
      }
    }
    return best;
  }
}

/** @param {Rect} rect */
function area({ width, height }) {
  return width * height;
}

/** @param {Rect} a @param {Rect} b @returns {number} pixels that both have */
function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, width) * Math.max(0, height);
}

/** @param {Rect} a @param {Rect} b @returns {Rect} around both */
function join(a, b) {
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return {
    x,
    y,
    width: Math.max(a.x + a.width, b.x + b.width) - x,
    height: Math.max(a.y + a.height, b.y + b.height) - y,
  };
}
