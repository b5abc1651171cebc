/**
 * Fill: what has one label, connected to the pointer or everywhere, becomes the chosen one. It goes by the labels as they
 * are seen, whichever layer they lie in, and writes to the active one. It shows at once and is kept when the button is
 * released.
 *
 * @typedef {import("./tool.js").Sample} Sample
 * @typedef {import("./tool.js").Tool} Tool
 */
import { allOf, flood } from "../document/raster.js";
import { mirrorImages } from "./symmetry.js";
import { PaintingTool } from "./tool.js";

/** @implements {Tool} */
export class Bucket extends PaintingTool {
  /** @param {Sample} sample */
  down(sample) {
    const gesture = this.begin();
    const { map } = this.easel.document();
    const seeds = mirrorImages(sample, map.width, map.height, this.easel.symmetry());
    const reach = this.easel.everywhere() ? allOf : flood;
    for (const { x, y } of seeds) reach(map, x, y, gesture.span);
    gesture.flush();
  }

  move() {}
}
