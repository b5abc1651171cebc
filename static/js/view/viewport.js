/**
 * Which part of the painting is seen, and how large: one state for every pane, each of which has a size of its own. Pure:
 * sizes and wishes in, transforms out.
 *
 * `zoom` is relative to the painting as large as it fits (1 = fits), `centre` the place of the painting in the middle of
 * the pane. Zoomed in, the painting always fills the pane; smaller than the pane, it stands in the middle.
 *
 * @typedef {{x: number, y: number}} Point
 * @typedef {{width: number, height: number}} Size
 * @typedef {{scale: number, x: number, y: number}} Transform CSS pixels per painting pixel, and where the painting's top
 *   left corner lies in the pane
 */

/** So many CSS pixels may one pixel of the painting be wide. */
export const LARGEST_PIXEL = 40;

export class Viewport {
  constructor() {
    /** @type {Size} */
    this.content = { width: 1, height: 1 };
    this.zoom = 1;
    /** @type {Point} */
    this.centre = { x: 0.5, y: 0.5 };
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {() => void} listener called after every change */
  listen(listener) {
    this.listeners.add(listener);
  }

  /** Another painting: all of it. @param {Size} content its pixels */
  setContent(content) {
    this.content = { width: content.width, height: content.height };
    this.fit();
  }

  fit() {
    this.zoom = 1;
    this.centre = { x: this.content.width / 2, y: this.content.height / 2 };
    this.#tell();
  }

  /** @param {Size} pane in CSS pixels @returns {number} CSS pixels per painting pixel when all of it is seen */
  fitScale({ width, height }) {
    const { width: across, height: down } = this.content;
    // Whole CSS pixels, as the style sheet has it: the painting lies on the screen's own grid.
    return Math.max(1, Math.floor(Math.min(width, (height * across) / down))) / across;
  }

  /** @param {Size} pane @returns {Transform} */
  transform(pane) {
    const scale = this.fitScale(pane) * this.zoom;
    const centre = this.#clamped(pane, scale);
    return { scale, x: pane.width / 2 - centre.x * scale, y: pane.height / 2 - centre.y * scale };
  }

  /** @param {Size} pane @param {Point} at in CSS pixels of the pane @returns {Point} the painting's pixel there */
  toContent(pane, at) {
    const { scale, x, y } = this.transform(pane);
    return { x: (at.x - x) / scale, y: (at.y - y) / scale };
  }

  /**
   * What is at a place of the pane stays there.
   *
   * @param {Size} pane
   * @param {number} factor
   * @param {Point} [at] in CSS pixels of the pane; its middle if not given
   */
  zoomBy(pane, factor, at = { x: pane.width / 2, y: pane.height / 2 }) {
    this.pinch(pane, at, at, factor);
  }

  /** @param {Size} pane @param {number} scale CSS pixels per painting pixel */
  zoomTo(pane, scale) {
    this.zoomBy(pane, scale / this.transform(pane).scale);
  }

  /** @param {Size} pane @param {number} dx CSS pixels that the painting goes along @param {number} dy */
  panBy(pane, dx, dy) {
    this.pinch(pane, { x: 0, y: 0 }, { x: dx, y: dy }, 1);
  }

  /**
   * Two fingers: what was under their middle comes to lie under where it is now.
   *
   * @param {Size} pane
   * @param {Point} from
   * @param {Point} to
   * @param {number} factor
   */
  pinch(pane, from, to, factor) {
    const under = this.toContent(pane, from);
    const fit = this.fitScale(pane);
    const least = Math.min(1, 1 / fit);
    const most = Math.max(1, LARGEST_PIXEL / fit);
    this.zoom = Math.min(most, Math.max(least, this.zoom * factor));
    const scale = fit * this.zoom;
    this.centre = {
      x: under.x + (pane.width / 2 - to.x) / scale,
      y: under.y + (pane.height / 2 - to.y) / scale,
    };
    this.centre = this.#clamped(pane, scale);
    this.#tell();
  }

  /** @param {Size} pane @param {number} scale @returns {Point} */
  #clamped(pane, scale) {
    const within = (/** @type {number} */ value, /** @type {number} */ whole, /** @type {number} */ seen) => {
      const half = seen / scale / 2;
      return half * 2 >= whole ? whole / 2 : Math.min(whole - half, Math.max(half, value));
    };
    return {
      x: within(this.centre.x, this.content.width, pane.width),
      y: within(this.centre.y, this.content.height, pane.height),
    };
  }

  #tell() {
    for (const listener of this.listeners) listener();
  }
}
