/**
 * A painting in another size: every layer and plane sampled at the nearest pixel, never blended.
 *
 * @typedef {import("./document.js").LabelDocument} LabelDocument
 * @typedef {import("./document.js").Painting} Painting
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {"stretch" | "crop"} Fit how another shape is filled: by stretching the picture, or by its middle
 */
import { createMap } from "./labelmap.js";

/**
 * @param {{width: number, height: number}} from
 * @param {{width: number, height: number}} to
 * @param {Fit} fit
 * @returns {{x: number, y: number, width: number, height: number}} the part of `from` that fills `to`, in pixels, not
 *   rounded
 */
export function windowOf(from, to, fit) {
  if (fit === "stretch") return { x: 0, y: 0, ...sizeOf(from) };
  const scale = Math.min(from.width / to.width, from.height / to.height);
  const [width, height] = [to.width * scale, to.height * scale];
  return { x: (from.width - width) / 2, y: (from.height - height) / 2, width, height };
}

/**
 * @param {LabelMap} map
 * @param {{width: number, height: number}} size
 * @param {Fit} fit
 * @returns {LabelMap}
 */
export function resized(map, { width, height }, fit) {
  const part = windowOf(map, { width, height }, fit);
  const out = createMap(width, height);
  const columns = Uint32Array.from({ length: width }, (_, x) =>
    Math.floor(part.x + ((x + 0.5) * part.width) / width),
  );
  for (let y = 0; y < height; y++) {
    const row = Math.floor(part.y + ((y + 0.5) * part.height) / height) * map.width;
    for (let x = 0; x < width; x++) out.data[y * width + x] = map.data[row + columns[x]];
  }
  return out;
}

/**
 * All that a painting has, in another size. A photo under it has a shape of its own, which a painting keeps: such a
 * painting has no copy in another.
 *
 * @param {LabelDocument} document one without a photo
 * @param {{width: number, height: number}} size
 * @param {Fit} fit
 * @returns {Omit<Painting, "id">}
 */
export function resizedCopy(document, size, fit) {
  const { title, labelSet, light, active, regions } = document;
  const layers = document.layers.map((layer) => ({ ...layer, map: resized(layer.map, size, fit) }));
  const styles = resized(document.styles, size, fit);
  return { title, labelSet, ...light, map: layers[0].map, layers, active, regions, styles, touched: true };
}

/** @param {{width: number, height: number}} of */
function sizeOf({ width, height }) {
  return { width, height };
}
