/**
 * What is done with a selection as a whole, or without one with all of the layer.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").Plane} Plane
 * @typedef {import("../document/selection.js").Piece} Piece
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 * @typedef {import("../document/document.js").Region} Region
 * @typedef {{piece: Piece, plane: Plane, labelSet: LabelSet, regions: readonly Region[]}} Clipping
 */
import { t } from "../core/i18n.js";
import { noPhoto } from "../document/document.js";
import { DocumentError } from "../document/errors.js";
import { bounds } from "../document/labelmap.js";
import { conversion } from "../document/labelset.js";
import { sameLight } from "../document/light.js";
import { intersect } from "../document/rect.js";
import { filled, smoothed } from "../document/regions.js";
import { inverted, lift } from "../document/selection.js";

/** From this shorter side on, smoothing looks one pixel farther. */
const LARGE = 768;
/** Of the whole painting: without a selection, larger patches are no holes but somebody's lake. */
const LARGEST_HOLE = 1 / 200;

/** What was copied last; paintings share it. @type {Clipping | null} */
let clipping = null;

/** @param {Studio} studio */
export function selectAll(studio) {
  const { width, height } = studio.document.map;
  studio.hand.settle();
  studio.select(inverted(null, width, height));
}

/** @param {Studio} studio */
export function selectNone(studio) {
  studio.hand.settle();
  studio.select(null);
}

/** @param {Studio} studio */
export function invertSelection(studio) {
  const { map, selection } = studio.document;
  studio.hand.settle();
  studio.select(inverted(selection, map.width, map.height));
}

/** What is selected becomes the chosen label or light. @param {Studio} studio */
export function fillSelected(studio) {
  change(studio, undefined, (gesture) => fill(gesture));
}

/** What is selected, or else the whole layer, becomes what an eraser leaves. @param {Studio} studio */
export function emptySelected(studio) {
  change(studio, blankOf(studio), (gesture) => fill(gesture));
}

/** @param {Studio} studio @returns {boolean} whether there was anything to copy */
export function copySelected(studio) {
  studio.hand.settle();
  const { document } = studio;
  const { plane } = studio.state;
  if (!document.selection) return false;
  // Where the layer has nothing, what is seen there; a plane of lights or edits has nothing behind it.
  const seen = plane === "labels" ? document.map : planeOf(studio);
  const piece =
    lift(planeOf(studio), document.selection, nothingOf(studio)) ?? lift(seen, document.selection);
  if (!piece) return false;
  clipping = { piece, plane, labelSet: document.labelSet, regions: document.regions };
  studio.ports.say({ what: t("Copied. Paste it here or into another painting."), key: "copied" });
  return true;
}

/** @param {Studio} studio */
export function cutSelected(studio) {
  if (copySelected(studio)) emptySelected(studio);
}

/** It floats until it is set down. @param {Studio} studio */
export function paste(studio) {
  if (!clipping) {
    studio.ports.say({ what: t("Nothing has been copied yet."), key: "copied" });
    return;
  }
  const { plane, piece } = clipping;
  const { document } = studio;
  if ((plane === "anew" || plane === "restore") && !document.source) {
    studio.hand.easel.refused(noPhoto());
    return;
  }
  studio.setPlane(plane);
  const table = tableFor(clipping, document);
  const values = table ? piece.values.map((value) => table[value]) : piece.values;
  if (!studio.state.tool.startsWith("select")) studio.setTool("select");
  guarded(studio, () => {
    studio.hand.mover.paste({ ...inReach(piece, document.map), values });
    // It may lie exactly on what it was copied from.
    studio.ports.say({ what: t("Pasted. Drag it where you want it."), key: "copied" });
  });
}

/**
 * @param {Clipping} clipping
 * @param {import("../document/document.js").LabelDocument} document where it is pasted
 * @returns {ArrayLike<number> | null} what its values are there: labels of the same meaning, the same lights under their
 *   numbers there and the painting's own for those that it lacks; null where they are the same
 */
function tableFor({ plane, labelSet, regions }, document) {
  if (plane === "labels") {
    return labelSet === document.labelSet ? null : conversion(labelSet, document.labelSet);
  }
  if (plane !== "styles" || regions === document.regions) return null;
  return [0, ...regions.map((region) => document.regions.findIndex((one) => sameLight(one, region)) + 1)];
}

/** @param {Studio} studio @param {number} dx whole pixels @param {number} dy */
export function nudge(studio, dx, dy) {
  const { mover } = studio.hand;
  guarded(studio, () => {
    if (mover.active || mover.lift(false)) mover.by(dx, dy);
  });
}

/** Borders become smooth. @param {Studio} studio */
export function smoothSelected(studio) {
  const { map, selection } = studio.document;
  const radius = Math.min(map.width, map.height) >= LARGE ? 3 : 2;
  replace(studio, (plane) => smoothed(plane, selection, radius));
}

/** Enclosed patches become what is around them. @param {Studio} studio */
export function fillHoles(studio) {
  const { map, selection } = studio.document;
  const largest = selection ? map.data.length : Math.ceil(map.data.length * LARGEST_HOLE);
  replace(studio, (plane) => filled(plane, selection, largest));
}

/** @param {Studio} studio */
function blankOf(studio) {
  return studio.state.plane === "labels" ? studio.document.blank() : 0;
}

/** @param {Studio} studio a value that stands for nothing in what is painted now; -1 where all is something */
function nothingOf(studio) {
  const { document } = studio;
  return studio.state.plane === "labels" && document.layer === document.layers[0] ? -1 : blankOf(studio);
}

/** @param {Studio} studio @returns {import("../document/labelmap.js").LabelMap} what is painted on now */
function planeOf(studio) {
  const { document } = studio;
  const { plane } = studio.state;
  if (plane === "labels") return document.layer.map;
  return plane === "styles" ? document.styles : (document.edits ?? document.styles);
}

/**
 * A piece of a larger painting may lie outside this one: then it comes to its middle.
 *
 * @param {Piece} piece
 * @param {import("../document/labelmap.js").LabelMap} map
 */
function inReach(piece, map) {
  const { rect } = piece;
  if (intersect(rect, bounds(map))) return piece;
  const x = Math.round((map.width - rect.width) / 2);
  const y = Math.round((map.height - rect.height) / 2);
  return { ...piece, rect: { ...rect, x, y } };
}

/** @param {import("../document/document.js").Gesture} gesture */
function fill({ map, span }) {
  for (let y = 0; y < map.height; y++) span(y, 0, map.width);
}

/**
 * @param {Studio} studio
 * @param {(plane: import("../document/labelmap.js").LabelMap) => Uint8Array} what stands where afterwards
 */
function replace(studio, what) {
  change(studio, undefined, (gesture) => {
    const { map } = gesture;
    const values = what(map);
    for (let y = 0; y < map.height; y++) {
      const row = y * map.width;
      let from = 0;
      while (from < map.width && values[row + from] === map.data[row + from]) from++;
      if (from === map.width) continue;
      let to = map.width;
      while (values[row + to - 1] === map.data[row + to - 1]) to--;
      gesture.put({ x: from, y, width: to - from, height: 1 }, values.subarray(row + from, row + to));
    }
  });
}

/**
 * One step of the history.
 *
 * @param {Studio} studio
 * @param {number | undefined} value of spans; the chosen one if not given
 * @param {(gesture: import("../document/document.js").Gesture) => void} draw
 */
function change(studio, value, draw) {
  studio.hand.settle();
  guarded(studio, () => {
    const gesture = studio.begin(value);
    draw(gesture);
    gesture.commit();
  });
}

/** @param {Studio} studio @param {() => void} action what cannot be painted is said */
function guarded(studio, action) {
  try {
    action();
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    studio.hand.easel.refused(error);
  }
}
