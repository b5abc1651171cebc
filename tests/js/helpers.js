/** What the tests share. */
import { readFileSync } from "node:fs";

const COLORS = /** @type {[string, [number, number, number]][]} */ ([
  ["unlabeled", [0, 0, 0]],
  ["sky", [135, 190, 240]],
  ["clouds", [235, 235, 245]],
  ["mountain", [120, 110, 130]],
  ["hill", [110, 150, 80]],
  ["snow", [255, 255, 255]],
  ["rock", [110, 105, 100]],
  ["dirt", [140, 100, 60]],
  ["grass", [80, 190, 60]],
  ["flower", [255, 90, 190]],
  ["bush", [50, 140, 90]],
  ["tree", [20, 90, 30]],
  ["sand", [240, 220, 150]],
  ["sea", [20, 80, 180]],
  ["river", [40, 160, 220]],
  ["road", [70, 70, 75]],
  ["house", [200, 50, 40]],
]);

/** @type {import("../../static/js/document/labelset.js").LabelSet} */
export const LANDSCAPE = {
  hash: "0123456789abcdef",
  name: "landscape17",
  ignore: 0,
  labels: COLORS.map(([name, color], id) => ({ id, name, color, group: id < 3 ? "sky" : "ground" })),
};

/** @param {string} name */
export function fixture(name) {
  return new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));
}

/**
 * The same numbers at every run.
 *
 * @param {number} seed
 * @returns {(below: number) => number} an integer, 0 ≤ x < below
 */
export function dice(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}
