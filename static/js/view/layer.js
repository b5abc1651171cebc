/**
 * A layer as a small picture; through its holes one sees what lies behind the canvas.
 *
 * @typedef {import("../document/labelmap.js").LabelMap} LabelMap
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 */
import { resizeNearest } from "../document/labelmap.js";
import { HOLE } from "../document/layers.js";

const LONGER_SIDE = 80;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {LabelMap} map of a layer
 * @param {LabelSet} labelSet
 */
export function drawLayer(canvas, map, labelSet) {
  const scale = Math.min(1, LONGER_SIDE / Math.max(map.width, map.height));
  const [width, height] = [map.width, map.height].map((side) => Math.max(1, Math.round(side * scale)));
  const colors = new Map(labelSet.labels.map(({ id, color }) => [id, color]));
  const image = new ImageData(width, height);
  for (const [i, id] of resizeNearest(map, width, height).data.entries()) {
    if (id !== HOLE) image.data.set([...(colors.get(id) ?? [0, 0, 0]), 255], 4 * i);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
