/**
 * A few rectangles that cover what changed: two dabs far apart stay two small rectangles.
 *
 * @typedef {import("./rect.js").Rect} Rect
 */
import { union } from "./rect.js";

const MOST = 4;

/** @param {Rect} rect */
function area({ width, height }) {
  return width * height;
}

/** How many pixels a union covers that neither of the two does. @param {Rect} a @param {Rect} b */
function waste(a, b) {
  // Asked for every row of every stroke: no rectangle is made for the answer.
  const width = Math.max(a.x + a.width, b.x + b.width) - Math.min(a.x, b.x);
  const height = Math.max(a.y + a.height, b.y + b.height) - Math.min(a.y, b.y);
  return width * height - area(a) - area(b);
}

export class Rects {
  constructor() {
    /** @type {Rect[]} */
    this.list = [];
  }

  get empty() {
    return this.list.length === 0;
  }

  /** @param {Rect} rect */
  add(rect) {
    let grown = rect;
    // What the union wastes nothing on, or hardly anything, is one rectangle; that may bring it close to others.
    for (let i = 0; i < this.list.length; ) {
      if (waste(this.list[i], grown) > Math.min(area(this.list[i]), area(grown))) {
        i++;
        continue;
      }
      grown = /** @type {Rect} */ (union(this.list[i], grown));
      this.list.splice(i, 1);
      i = 0;
    }
    this.list.push(grown);
    if (this.list.length > MOST) this.#mergeClosest();
  }

  /** @returns {Rect[]} all of them; none is left */
  take() {
    const { list } = this;
    this.list = [];
    return list;
  }

  #mergeClosest() {
    let best = { i: 0, j: 1, waste: Number.POSITIVE_INFINITY };
    for (let j = 1; j < this.list.length; j++) {
      for (let i = 0; i < j; i++) {
        const wasted = waste(this.list[i], this.list[j]);
        if (wasted < best.waste) best = { i, j, waste: wasted };
      }
    }
    const [gone] = this.list.splice(best.j, 1);
    const [other] = this.list.splice(best.i, 1);
    this.add(/** @type {Rect} */ (union(gone, other)));
  }
}
