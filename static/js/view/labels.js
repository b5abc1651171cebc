/**
 * Shows a label map on a canvas. Pixels only ever go to the canvas and never come back.
 *
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 * @typedef {import("../document/rect.js").Rect} Rect
 */
import { bounds } from "../document/labelmap.js";

export class LabelView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    /** @type {LabelMap | null} */
    this.map = null;
    /** One opaque pixel per id, in the byte order of ImageData. */
    this.colors = new Uint32Array(256);
    this.image = new ImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /**
   * @param {LabelMap} map shown from now on; later changes are shown by draw()
   * @param {LabelSet} labelSet
   */
  show(map, labelSet) {
    this.map = map;
    this.colors.fill(packed([0, 0, 0]));
    for (const { id, color } of labelSet.labels) this.colors[id] = packed(color);
    if (this.canvas.width !== map.width) this.canvas.width = map.width;
    if (this.canvas.height !== map.height) this.canvas.height = map.height;
    this.image = new ImageData(map.width, map.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.draw(bounds(map));
  }

  /** @param {Rect} rect what changed */
  draw({ x, y, width, height }) {
    const { map, pixels, colors } = this;
    if (!map) return;
    const { data, width: across } = map;
    for (let row = y; row < y + height; row++) {
      const end = row * across + x + width;
      for (let i = row * across + x; i < end; i++) pixels[i] = colors[data[i]];
    }
    this.context.putImageData(this.image, 0, 0, x, y, width, height);
  }
}

/** @param {import("../document/labelset.js").Color} color */
function packed(color) {
  const bytes = new Uint8Array([...color, 255]);
  return new Uint32Array(bytes.buffer)[0];
}
