/**
 * Which sizes a canvas may have.
 *
 * @typedef {import("./studio.js").Model} Model
 * @typedef {{width: number, height: number}} Size
 */
import { t } from "../core/i18n.js";

const LEAST = 64;
const USUAL_LEAST = 256;
const MOST = 1024;
/** Width over height. */
export const SHAPES = [
  { name: "1 : 1", aspect: 1 },
  { name: "4 : 3", aspect: 4 / 3 },
  { name: "3 : 2", aspect: 3 / 2 },
  { name: "16 : 9", aspect: 16 / 9 },
  { name: "3 : 4", aspect: 3 / 4 },
  { name: "2 : 3", aspect: 2 / 3 },
  { name: "9 : 16", aspect: 9 / 16 },
];

/**
 * The sides that a canvas may have: what the server takes, between 256 and 1024; less where the model's own size is less.
 *
 * @param {Model} model
 * @returns {{least: number, most: number, mostPixels: number}}
 */
export function limitsOf(model) {
  const least = Math.min(USUAL_LEAST, model.native_width, model.native_height, model.max_side);
  return {
    least: Math.max(LEAST, least),
    most: Math.min(MOST, model.max_side),
    mostPixels: model.max_pixels,
  };
}

/**
 * The size of a shape whose longer side is given.
 *
 * @param {number} longer
 * @param {number} aspect
 * @returns {Size}
 */
export function sizeOfShape(longer, aspect) {
  return aspect >= 1
    ? { width: longer, height: Math.round(longer / aspect) }
    : { width: Math.round(longer * aspect), height: longer };
}

/**
 * Why a size cannot be; an empty text where it can.
 *
 * @param {Size} size
 * @param {Model} model
 */
export function objection({ width, height }, model) {
  const { least, most, mostPixels } = limitsOf(model);
  if (![width, height].every((side) => Number.isInteger(side) && side >= least && side <= most)) {
    return t("Each side has {least} to {most} pixels.", { least, most });
  }
  if (width * height > mostPixels) {
    return t("This server paints up to {count} pixels in all.", { count: mostPixels.toLocaleString() });
  }
  return "";
}

/**
 * The largest that the model itself paints, where it has such a limit: beyond it the photo is painted smaller and shown
 * larger.
 *
 * @param {Size} size
 * @param {Model} model
 */
export function remark({ width, height }, model) {
  const { name, largest_width: w, largest_height: h } = model;
  if ((w === null || width <= w) && (h === null || height <= h)) return "";
  return t("{name} paints up to {width} × {height}; a larger photo is painted smaller and enlarged.", {
    name,
    width: w ?? width,
    height: h ?? height,
  });
}

/**
 * @param {number} longer wished for
 * @param {number} aspect
 * @param {Model} model
 * @returns {Size} of that shape, as near as the limits allow
 */
export function inLimits(longer, aspect, model) {
  const { least, most, mostPixels } = limitsOf(model);
  const shape = Math.max(aspect, 1 / aspect);
  const largest = Math.min(most, Math.floor(Math.sqrt(mostPixels * shape)));
  return sizeOfShape(Math.min(largest, Math.max(longer, Math.ceil(least * shape))), aspect);
}

/** @param {Size} a @param {Size} b */
export function same(a, b) {
  return a.width === b.width && a.height === b.height;
}

/**
 * What a painting may be begun in: the model's own size, then one of every other shape.
 *
 * @param {Model} model
 * @returns {(Size & {name: string})[]} `name`: of the shape; nothing where it is none of the usual ones
 */
export function usualSizes(model) {
  const own = { width: model.native_width, height: model.native_height };
  const longer = Math.max(own.width, own.height);
  const each = SHAPES.map(({ name, aspect }) => {
    // So much longer that the shorter side keeps the model's detail.
    const stretch = same(own, sizeOfShape(longer, aspect))
      ? 1
      : Math.ceil(2 * Math.max(aspect, 1 / aspect)) / 2;
    return { name, ...inLimits(stretch * longer, aspect, model) };
  });
  const first = each.find((size) => same(size, own)) ?? { name: "", ...own };
  return [first, ...each.filter((size) => size !== first && !objection(size, model))];
}
