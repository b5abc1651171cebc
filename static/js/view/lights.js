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
    /** Two pixels for each number: tint and line. */
    this.colors = new Uint32Array([
      0,
      0,
      ...MARK_COLORS.flatMap((color) => [packed(color, TINT), packed(color, LINE)]),
    ]);
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
    this.draw(bounds(plane));
  }

  /** @param {Rect} rect what changed */
  draw({ x, y, width, height }) {
    const { plane, pixels, colors } = this;
    if (!plane) return;
    // Lines a fiftieth of the shorter side apart, so that they look alike at every size.
    const step = Math.max(4, Math.round(Math.min(plane.width, plane.height) / 50));
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) {
        const i = row * plane.width + column;
        const number = plane.data[i] & 15;
        pixels[i] = colors[2 * number + Number(onLine(number, column, row, step))];
      }
    }
    this.context.putImageData(this.image, 0, 0, x, y, width, height);
  }
}

/** Four hatchings by turns. @param {number} number @param {number} x @param {number} y @param {number} step */
function onLine(number, x, y, step) {
  const along = [x + y, x - y + 2 ** 16 * step, y, x][number & 3];
  return along % step === 0;
}

/** @param {readonly number[]} color @param {number} alpha */
function packed(color, alpha) {
  return new Uint32Array(new Uint8Array([...color, alpha]).buffer)[0];
}
