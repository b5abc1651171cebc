/**
 * Fill: the connected area of one label under the pointer becomes the chosen label. It shows at once and is kept when
 * the button is released.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Tool} Tool
 */
import { flood } from "../document/raster.js";
import { PaintingTool } from "./tool.js";

/** @implements {Tool} */
export class Fill extends PaintingTool {
  /** @param {Point} point */
  down({ x, y }) {
    const document = this.easel.document();
    this.gesture = document.begin(this.easel.label());
    flood(document.map, Math.floor(x), Math.floor(y), this.gesture.span);
    this.gesture.flush();
  }

  move() {}
}
