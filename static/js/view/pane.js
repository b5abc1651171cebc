/**
 * One window onto the painting: its frame, the board that is moved and scaled in it, and what lies over them. The board's
 * own size is that of the whole painting as large as it fits, which the style sheet says.
 *
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {import("./viewport.js").Size} Size
 */
import { Overlay } from "./overlay.js";
import { Ring } from "./ring.js";

/** From so many device pixels per pixel of the painting on, labels are drawn as squares. */
const CRISP = 2;

export class Pane {
  /**
   * @param {HTMLElement} frame
   * @param {HTMLElement} ring
   * @param {Viewport} viewport
   * @param {(task: () => void) => () => void} schedule makes a task run once per animation frame
   */
  constructor(frame, ring, viewport, schedule) {
    this.frame = frame;
    this.board = /** @type {HTMLElement} */ (frame.querySelector(".board"));
    this.viewport = viewport;
    this.ring = new Ring(ring);
    const canvas = document.createElement("canvas");
    canvas.className = "overlay";
    this.board.after(canvas);
    this.overlay = new Overlay(canvas, schedule);
    /** @type {Size} */
    this.size = { width: 1, height: 1 };
    /** Called whenever the painting lies elsewhere or is of another size in it. */
    this.placed = () => {};
    viewport.listen(() => this.place());
    new ResizeObserver(() => this.place()).observe(frame);
  }

  /** Put everything where the viewport says. */
  place() {
    const { frame, board, viewport } = this;
    this.size = { width: frame.clientWidth, height: frame.clientHeight };
    if (this.size.width === 0 || this.size.height === 0) return;
    const { scale, x, y } = viewport.transform(this.size);
    const { offsetWidth: width, offsetHeight: height } = board;
    const grown = (scale * viewport.content.width) / width;
    const [left, top] = [(this.size.width - width) / 2, (this.size.height - height) / 2];
    board.style.transform =
      viewport.zoom === 1 ? "" : `translate(${x - left}px, ${y - top}px) scale(${grown})`;
    board.toggleAttribute("data-crisp", scale * devicePixelRatio >= CRISP);
    this.overlay.place(this.size, devicePixelRatio, { scale, x, y });
    this.placed();
  }

  /**
   * @param {{x: number, y: number} | null} at in pixels of the painting; null for no ring
   * @param {number} diameter in pixels of the painting
   */
  showRing(at, diameter) {
    if (!at) {
      this.ring.hide();
      return;
    }
    const { scale, x, y } = this.viewport.transform(this.size);
    this.ring.show({ x: x + at.x * scale, y: y + at.y * scale }, diameter * scale);
  }
}
