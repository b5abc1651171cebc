/**
 * Shows where lights for parts of the picture lie: a tint and a hatching over the map, each light its own.
 *
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("../document/rect.js").Rect} Rect
 */
import { bounds } from "../document/labelmap.js";
import { MARK_COLORS } from "../document/light.js";

const TINT = 105;
const LINE = 205;

export class LightsView {
  /** @param {HTMLCanvasElement} canvas as large as the map's own, over it */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {LabelMap | null} */
    this.plane = null;
    this.image = new ImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
    /** The pixels of every number's hatching, which repeats itself. */
    this.hatching = hatchings(1);
    this.step = 1;
  }

  /** @param {LabelMap | null} plane of style numbers, shown from now on; null for none */
  show(plane) {
    this.plane = plane;
    this.canvas.hidden = plane === null;
    if (!plane) return;
    if (this.canvas.width !== plane.width) this.canvas.width = plane.width;
    if (this.canvas.height !== plane.height) this.canvas.height = plane.height;
    if (this.image.width !== plane.width || this.image.height !== plane.height) {
      this.image = new ImageData(plane.width, plane.height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    // Lines a fiftieth of the shorter side apart, so that they look alike at every size.
    this.step = Math.max(4, Math.round(Math.min(plane.width, plane.height) / 50));
    this.hatching = hatchings(this.step);
    this.draw(bounds(plane));
  }

  /** @param {Rect} rect what changed */
  draw({ x, y, width, height }) {
    const { plane, pixels, hatching, step } = this;
    if (!plane) return;
    for (let row = y; row < y + height; row++) {
      const line = (row % step) * step;
      const from = row * plane.width;
      for (let column = x; column < x + width; column++) {
        pixels[from + column] = hatching[plane.data[from + column] & 15][line + (column % step)];
      }
    }
    this.context.putImageData(this.image, 0, 0, x, y, width, height);
  }
}

/**
 * @param {number} step from one line to the next
 * @returns {Uint32Array[]} by style number: step × step pixels, in one of four directions by turns
 */
function hatchings(step) {
  return [null, ...MARK_COLORS].map((color, number) => {
    const tile = new Uint32Array(step * step);
    if (!color) return tile;
    const [tint, line] = [packed(color, TINT), packed(color, LINE)];
    return tile.map((_, i) => {
      const [x, y] = [i % step, Math.floor(i / step)];
      return [x + y, x - y, y, x][number & 3] % step === 0 ? line : tint;
    });
  });
}

/** @param {readonly number[]} color @param {number} alpha */
function packed(color, alpha) {
  return new Uint32Array(new Uint8Array([...color, alpha]).buffer)[0];
}
