/**
 * The hand: holds one tool at a time and leads each gesture through it, from its beginning to its end. What cannot be
 * painted is said once a gesture, and nothing happens.
 *
 * @typedef {import("./tool.js").Tool} Tool
 * @typedef {import("./tool.js").PaintingToolName} PaintingToolName
 * @typedef {import("./tool.js").ToolName} ToolName
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Keys} Keys
 * @typedef {import("./tool.js").Easel} Easel
 */
import { DocumentError } from "../document/errors.js";
import { Brush } from "./brush.js";
import { Bucket } from "./bucket.js";
import { Mover } from "./mover.js";
import { Area, Polygon } from "./outline.js";
import { Picker } from "./picker.js";
import { Select } from "./select.js";
import { Shape } from "./shape.js";

export class Hand {
  /** @param {Easel} easel */
  constructor(easel) {
    this.easel = easel;
    this.mover = new Mover(easel);
    /** @type {Record<PaintingToolName, Tool>} */
    this.tools = {
      brush: new Brush(easel),
      eraser: new Brush(easel, true),
      fill: new Bucket(easel),
      pick: new Picker(easel),
      line: new Shape(easel, "line"),
      rectangle: new Shape(easel, "rectangle"),
      ellipse: new Shape(easel, "ellipse"),
      polygon: new Polygon(easel),
      area: new Area(easel),
      select: new Select(easel, this.mover, "rectangle"),
      "select-lasso": new Select(easel, this.mover, "lasso"),
      wand: new Select(easel, this.mover, "wand"),
    };
    /** @type {Tool | null} the tool of the gesture under way */
    this.holding = null;
    /** Whether a pointer is down. */
    this.pressing = false;
  }

  get busy() {
    return this.holding !== null;
  }

  /**
   * @param {PaintingToolName} name
   * @param {Sample} sample
   * @param {Keys} keys
   */
  down(name, sample, keys) {
    const tool = this.tools[name];
    if (this.holding && (this.pressing || this.holding !== tool)) this.cancel();
    if (!(tool instanceof Select)) this.mover.drop();
    this.holding = tool;
    this.pressing = true;
    this.#try(() => tool.down(sample, keys));
  }

  /** @param {Sample[]} samples none when only the keys have changed @param {Keys} keys */
  move(samples, keys) {
    const { holding } = this;
    if (holding && this.pressing) this.#try(() => holding.move(samples, keys));
  }

  /**
   * Over the painting, with nothing pressed.
   *
   * @param {ToolName} name what would be used
   * @param {Point | null} point null when the pointer has left
   * @param {Keys} keys
   */
  hover(name, point, keys) {
    if (this.pressing || name === "hand") return;
    (this.holding ?? this.tools[name]).hover?.(point, keys);
  }

  up() {
    const tool = this.holding;
    if (!tool || !this.pressing) return;
    this.pressing = false;
    this.#try(() => tool.up());
    if (!tool.active) this.holding = null;
  }

  /** A gesture that outlasts the pointer is done; what floats is set down. @returns {boolean} whether there was any */
  finish() {
    const tool = this.holding;
    const floated = this.mover.active;
    if (!tool?.finish || this.pressing) {
      if (!this.busy) this.mover.drop();
      return floated;
    }
    this.#try(() => tool.finish?.());
    this.holding = null;
    return true;
  }

  /** Takes back the last part of a gesture of several. @returns {boolean} whether there was one */
  back() {
    const tool = this.holding;
    const did = tool?.back?.() ?? false;
    if (tool && !tool.active) this.holding = null;
    return did;
  }

  /** @returns {boolean} whether there was a gesture to cancel */
  cancel() {
    const tool = this.holding;
    this.holding = null;
    this.pressing = false;
    tool?.cancel();
    return this.mover.cancel() || tool !== null;
  }

  /** The pointer meant something else, a pinch say: only what it has begun goes. */
  retract() {
    const tool = this.holding;
    this.pressing = false;
    if (tool?.back) {
      this.back();
      return;
    }
    this.holding = null;
    tool?.cancel();
  }

  /** Something else comes: what floats is set down where it is, what is half drawn goes. */
  settle() {
    if (this.busy) this.cancel();
    else this.mover.drop();
  }

  /** @param {() => void} action */
  #try(action) {
    try {
      action();
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      this.cancel();
      this.easel.refused(error);
    }
  }
}
