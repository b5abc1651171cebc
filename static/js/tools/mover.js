/**
 * A piece of the painting that floats above it: lifted from the selection or pasted, shown where it is, and set down by
 * drop(). Until then it can be moved again, and cancel() leaves no trace. One float is one step of the history.
 *
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Gesture} Gesture
 * @typedef {import("./tool.js").LabelMap} LabelMap
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("../document/selection.js").Piece} Piece
 */
import { cropped, holds, lift, maskOfPiece, placed } from "../document/selection.js";

export class Mover {
  /** @param {Easel} easel */
  constructor(easel) {
    this.easel = easel;
    /** @type {Gesture | null} */
    this.gesture = null;
    /** @type {Piece | null} */
    this.piece = null;
    /** What is emptied under it. @type {Piece | null} */
    this.hole = null;
    /** The piece where it is now, as much of it as is inside. @type {Piece | null} */
    this.shown = null;
    /** What was selected before it was lifted. @type {LabelMap | null} */
    this.before = null;
    /** What is selected, as a piece: goes along. @type {Piece | null} */
    this.area = null;
    this.shift = { x: 0, y: 0 };
  }

  get active() {
    return this.gesture?.open ?? false;
  }

  /**
   * @param {boolean} copy whether what is lifted stays where it is, too
   * @returns {boolean} whether there was anything to lift
   * @throws {DocumentError} when nothing can be painted there
   */
  lift(copy) {
    const { selection } = this.easel.document();
    if (!selection) return false;
    const gesture = this.easel.begin(this.easel.blank());
    const piece = lift(gesture.map, selection, this.#nothing(gesture));
    if (!piece) {
      gesture.cancel();
      return false;
    }
    this.#start(gesture, piece, selection, lift(selection, selection));
    if (!copy) {
      this.hole = { ...piece, values: new Uint8Array(piece.values.length).fill(this.easel.blank()) };
      gesture.put(this.hole.rect, this.hole.values, this.hole.mask);
    }
    return true;
  }

  /**
   * @param {Piece} piece
   * @throws {DocumentError} when nothing can be painted there
   */
  paste(piece) {
    const { selection, map } = this.easel.document();
    this.#start(this.easel.begin(), piece, selection, piece);
    this.easel.select(maskOfPiece(placed(piece, 0, 0, map.width, map.height), map.width, map.height));
    this.by(0, 0);
  }

  /** @param {number} x whole pixels from where it was lifted @param {number} y */
  to(x, y) {
    this.by(x - this.shift.x, y - this.shift.y);
  }

  /** @param {number} dx whole pixels @param {number} dy */
  by(dx, dy) {
    const { gesture } = this;
    if (!gesture?.open) return;
    this.shift = { x: this.shift.x + dx, y: this.shift.y + dy };
    if (this.shown) this.#uncover(gesture, this.shown.rect);
    this.shown = this.#placed(this.piece);
    if (this.shown) gesture.put(this.shown.rect, this.shown.values, this.shown.mask);
    gesture.flush();
    this.easel.sketch({ shift: this.shift });
  }

  /** @param {Point} point @returns {boolean} whether it lies on what floats */
  holds(point) {
    const { selection } = this.easel.document();
    const back = { x: point.x - this.shift.x, y: point.y - this.shift.y };
    return this.active && selection !== null && holds(selection, back);
  }

  /** Set it down. */
  drop() {
    if (!this.active) {
      this.#end();
      return;
    }
    const { width, height } = this.easel.document().map;
    this.gesture?.commit();
    this.easel.select(maskOfPiece(this.#placed(this.area), width, height));
    this.#end();
  }

  /** @returns {boolean} whether anything floated */
  cancel() {
    const was = this.gesture !== null;
    this.gesture?.cancel();
    if (was) this.easel.select(this.before);
    this.#end();
    return was;
  }

  /**
   * @param {Gesture} gesture
   * @param {Piece} piece
   * @param {LabelMap | null} before
   * @param {Piece | null} area
   */
  #start(gesture, piece, before, area) {
    this.gesture = gesture;
    this.piece = piece;
    this.hole = null;
    this.shown = null;
    this.before = before;
    this.area = area;
    this.shift = { x: 0, y: 0 };
  }

  /** What lies under it shows again. @param {Gesture} gesture @param {import("../document/rect.js").Rect} rect */
  #uncover(gesture, rect) {
    for (let y = rect.y; y < rect.y + rect.height; y++) gesture.restore(y, rect.x, rect.x + rect.width);
    const hole = this.hole && cropped(this.hole, rect);
    if (hole) gesture.put(hole.rect, hole.values, hole.mask);
  }

  #end() {
    if (this.gesture) this.easel.sketch(null);
    this.gesture = null;
  }

  /** @param {Piece | null} piece */
  #placed(piece) {
    const { width, height } = this.easel.document().map;
    return piece && placed(piece, this.shift.x, this.shift.y, width, height);
  }

  /** What stands for nothing where it is lifted from; at the bottom everything is something. @param {Gesture} gesture */
  #nothing(gesture) {
    const { layers } = this.easel.document();
    return gesture.map === layers[0].map ? -1 : this.easel.blank();
  }
}
