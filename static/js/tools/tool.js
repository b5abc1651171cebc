/**
 * What a tool is: a small state machine that is idle or in a gesture. A gesture starts with `down`, follows `move`, and
 * ends with `up` (keep) or `cancel` (as if it had never been). Coordinates are in label-map pixels and may lie outside.
 *
 * @typedef {import("../document/raster.js").Point} Point
 * @typedef {import("../document/document.js").LabelDocument} LabelDocument
 * @typedef {{
 *   document: () => LabelDocument,
 *   label: () => number,
 *   size: () => number,
 *   setLabel: (id: number) => void,
 *   picked: () => void,
 * }} Easel what tools work with: size is the brush diameter in pixels; `picked` says that a pick is over
 * @typedef {{
 *   readonly active: boolean,
 *   down: (point: Point) => void,
 *   move: (points: Point[]) => void,
 *   up: () => void,
 *   cancel: () => void,
 * }} Tool
 * @typedef {"brush" | "fill" | "pick"} ToolName
 */
export {};
