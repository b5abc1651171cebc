/**
 * The round hard brush.
 *
 * @typedef {import("./tool.js").Point} Point
 * @typedef {import("./tool.js").Easel} Easel
 * @typedef {import("./tool.js").Tool} Tool
 */
import { capsule } from "../document/raster.js";
import { PaintingTool } from "./tool.js";

/** @implements {Tool} */
export class Brush extends PaintingTool {
  /** @param {Easel} easel */
  constructor(easel) {
    super(easel);
    /** @type {Point} */
    this.last = { x: 0, y: 0 };
  }

  /** @param {Point} point */
  down(point) {
    this.gesture = this.easel.document().begin(this.easel.label());
    this.last = point;
    this.move([point]);
  }

  /** @param {Point[]} points every point that the pointer went through, so that no speed leaves a gap */
  move(points) {
    const { gesture } = this;
    if (!gesture?.open) return;
    const { width, height } = gesture.document.map;
    for (const point of points) {
      capsule(this.last, point, this.easel.size(), width, height, gesture.span);
      this.last = point;
    }
    gesture.flush();
  }
}
