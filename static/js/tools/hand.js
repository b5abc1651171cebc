/**
 * The hand: holds one tool at a time and leads each gesture through it, from its beginning to its end.
 *
 * @typedef {import("./tool.js").Tool} Tool
 * @typedef {import("./tool.js").ToolName} ToolName
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Easel} Easel
 */
import { Brush } from "./brush.js";
import { Fill } from "./fill.js";
import { Picker } from "./picker.js";

export class Hand {
  /** @param {Easel} easel */
  constructor(easel) {
    /** @type {Record<ToolName, Tool>} */
    this.tools = { brush: new Brush(easel), fill: new Fill(easel), pick: new Picker(easel) };
    /** @type {Tool | null} the tool of the gesture under way */
    this.holding = null;
  }

  get busy() {
    return this.holding !== null;
  }

  /**
   * @param {ToolName} name
   * @param {Point} point
   */
  down(name, point) {
    this.cancel();
    this.holding = this.tools[name];
    this.holding.down(point);
  }

  /** @param {Point[]} points */
  move(points) {
    if (points.length > 0) this.holding?.move(points);
  }

  up() {
    const tool = this.holding;
    this.holding = null;
    tool?.up();
  }

  /** @returns {boolean} whether there was a gesture to cancel */
  cancel() {
    const tool = this.holding;
    this.holding = null;
    tool?.cancel();
    return tool !== null;
  }
}
