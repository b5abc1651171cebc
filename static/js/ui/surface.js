/**
 * Pointers and wheels over the painting, on the map or on the photo: gestures of the hand, or another part of the painting
 * on the screen. No handler waits for anything.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/raster.js").Point} Point
 * @typedef {import("../tools/tool.js").Sample} Sample
 * @typedef {import("../tools/tool.js").Keys} Keys
 * @typedef {{width: number, height: number}} Size
 * @typedef {{frame: HTMLElement, board: HTMLElement, readonly size: Size}} Pane a window onto the painting: what clips it,
 *   and the painting's own box, which is moved and scaled
 * @typedef {{
 *   zoomBy: (pane: Size, factor: number, at: Point) => void,
 *   panBy: (pane: Size, dx: number, dy: number) => void,
 *   pinch: (pane: Size, from: Point, to: Point, factor: number) => void,
 * }} View
 */
import { t } from "../core/i18n.js";
import { Pointers } from "./pointers.js";

/** How fast a wheel zooms, per CSS pixel that it would scroll; a pinch on a trackpad comes in smaller steps. */
const WHEEL = 0.0016;
const PINCH = 0.012;
const LINE = 32;

/** @param {{shiftKey: boolean, altKey: boolean, ctrlKey: boolean, metaKey: boolean}} event @returns {Keys} */
function keysOf({ shiftKey, altKey, ctrlKey, metaKey }) {
  return { shift: shiftKey, alt: altKey, mod: ctrlKey || metaKey };
}

export class Surface {
  /**
   * @param {Studio} studio
   * @param {View} view
   * @param {(at: Point | null) => void} onHover where the pointer is, in map pixels; null when it has left
   */
  constructor(studio, view, onHover) {
    this.studio = studio;
    this.view = view;
    this.onHover = onHover;
    /** Whether Space is held. */
    this.panning = false;
    /** @type {{pane: Pane, event: PointerEvent} | null} */
    this.latest = null;
    const { hand } = studio;
    this.pointers = new Pointers({
      tool: () => studio.state.tool,
      panning: () => this.panning,
      outlining: () => hand.busy && !hand.pressing,
      down: (tool) => {
        if (this.latest) hand.down(tool, this.#sampler()(this.latest.event), keysOf(this.latest.event));
      },
      up: () => hand.up(),
      cancel: () => hand.retract(),
      pan: (dx, dy) => {
        if (this.latest) view.panBy(this.latest.pane.size, dx, dy);
      },
      pinch: (from, to, factor) => {
        if (this.latest) view.pinch(this.latest.pane.size, this.#inPane(from), this.#inPane(to), factor);
      },
      undo: () => studio.undo(),
      redo: () => studio.redo(),
      penSeen: () => this.#tellOfPen(),
    });
  }

  /** @param {Pane} pane */
  mount(pane) {
    const { frame } = pane;
    const { pointers } = this;
    frame.addEventListener("pointerdown", (event) => this.#down(pane, event));
    frame.addEventListener("pointermove", (event) => this.#move(pane, event));
    const end = (/** @type {PointerEvent} */ event, /** @type {boolean} */ kept) => {
      if (kept && event.pointerId === pointers.leader) this.#last(event);
      pointers.up(event.pointerId, event.timeStamp, kept);
      if (event.pointerType === "touch") this.onHover(null);
    };
    frame.addEventListener("pointerup", (event) => end(event, true));
    // The button was released where no event of it reaches us.
    frame.addEventListener("lostpointercapture", (event) => end(event, true));
    frame.addEventListener("pointercancel", (event) => end(event, false));
    frame.addEventListener("pointerleave", (event) => {
      if (pointers.doing === "painting") return;
      this.onHover(null);
      this.studio.hand.hover(this.studio.state.tool, null, keysOf(event));
    });
    frame.addEventListener("wheel", (event) => this.#wheel(pane, event), { passive: false });
    frame.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Keys were pressed or released: a square becomes a rectangle. @param {KeyboardEvent} event */
  rekey(event) {
    const { hand, state } = this.studio;
    if (!state.document) return;
    if (hand.pressing) hand.move([], keysOf(event));
    else if (this.latest?.pane.frame.matches(":hover")) {
      hand.hover(state.tool, this.#sampler()(this.latest.event), keysOf(event));
    }
  }

  /** @param {Pane} pane @param {PointerEvent} event */
  #down(pane, event) {
    if (!this.studio.state.document) return;
    event.preventDefault();
    // Arrows and Space are for the painting now, no longer for the button or label that was clicked last.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    this.latest = { pane, event };
    pane.frame.setPointerCapture(event.pointerId);
    this.onHover(this.#sampler()(event));
    const { pointerId: id, pointerType: kind, clientX: x, clientY: y, timeStamp: time, button } = event;
    this.pointers.down({ id, kind, x, y, time, button, keys: keysOf(event) });
  }

  /** @param {Pane} pane @param {PointerEvent} event */
  #move(pane, event) {
    const { studio, pointers } = this;
    if (!studio.state.document) return;
    pointers.notice(event.pointerType);
    if (pointers.doing !== "painting" || event.pointerId === pointers.leader) this.latest = { pane, event };
    const painting = pointers.move(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!painting && pointers.doing !== "idle") return;
    const sample = this.#sampler();
    const here = sample(event);
    this.onHover(here);
    if (!painting) {
      studio.hand.hover(studio.state.tool, here, keysOf(event));
      return;
    }
    // Every point since the last frame, not only the newest one, where the browser tells them: over plain http it
    // does not.
    const events = event.getCoalescedEvents?.() ?? [];
    studio.hand.move(events.length > 0 ? events.map(sample) : [here], keysOf(event));
  }

  /** The pointer may have gone on between its last move and its end. @param {PointerEvent} event */
  #last(event) {
    const { latest, studio, pointers } = this;
    if (pointers.doing !== "painting" || !latest) return;
    if (latest.event.clientX === event.clientX && latest.event.clientY === event.clientY) return;
    const sample = this.#sampler();
    const { pressure } = sample(latest.event);
    studio.hand.move([{ ...sample(event), pressure }], keysOf(event));
  }

  /**
   * From pointers on the screen to samples in the painting, as both are now. Where the painting lies is asked once for all
   * points of an event.
   *
   * @returns {(event: PointerEvent) => Sample}
   */
  #sampler() {
    const { pane } = /** @type {{pane: Pane}} */ (this.latest);
    const box = pane.board.getBoundingClientRect();
    const { width, height } = this.studio.document.map;
    return ({ clientX, clientY, pointerType, pressure }) => ({
      x: ((clientX - box.left) * width) / box.width,
      y: ((clientY - box.top) * height) / box.height,
      pressure: pointerType === "pen" ? pressure : 1,
    });
  }

  /** @param {Point} at in CSS pixels of the page */
  #inPane({ x, y }) {
    const { pane } = /** @type {{pane: Pane}} */ (this.latest);
    const box = pane.frame.getBoundingClientRect();
    return { x: x - box.left, y: y - box.top };
  }

  /** @param {Pane} pane @param {WheelEvent} event */
  #wheel(pane, event) {
    event.preventDefault();
    if (!this.studio.state.document) return;
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (Math.abs(dx) > Math.abs(dy)) {
      this.view.panBy(pane.size, -dx, 0);
      return;
    }
    const box = pane.frame.getBoundingClientRect();
    // Browsers tell of a pinch on a trackpad as of a wheel with Ctrl, in small steps.
    const speed = event.ctrlKey && Math.abs(dy) < LINE ? PINCH : WHEEL;
    this.view.zoomBy(pane.size, Math.exp(-dy * speed), {
      x: event.clientX - box.left,
      y: event.clientY - box.top,
    });
  }

  #tellOfPen() {
    this.studio.ports.say({
      what: t("A pen: fingers now move the painting."),
      key: "pen",
      action: { title: t("Paint with fingers too"), run: () => this.#forgetPen() },
    });
  }

  #forgetPen() {
    this.pointers.penSeen = false;
  }
}
