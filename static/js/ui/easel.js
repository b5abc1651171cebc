/**
 * What the tools work with, as the studio has it.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../tools/tool.js").Easel} Easel
 */
import { noticeOf } from "./studio.js";

/** At its strongest, a steadied brush follows the pointer by so many CSS pixels. */
const LONGEST_REACH = 90;

/**
 * @param {Studio} studio
 * @returns {Easel}
 */
export function easelOf(studio) {
  return {
    document: () => studio.document,
    begin: (value) => studio.begin(value),
    blank: () => (studio.state.plane === "labels" ? studio.document.blank() : 0),
    value: () => (studio.state.plane === "styles" ? studio.state.region : studio.state.label),
    valueAt: (index) => {
      const { map, styles } = studio.document;
      return (studio.state.plane === "styles" ? styles : map).data[index];
    },
    // While a picker is being dragged: what was chosen before it came counts as the last.
    setValue: (value) =>
      studio.store.set(studio.state.plane === "styles" ? { region: value } : { label: value }),
    picked: (before) => studio.picked(before),
    size: () => studio.state.size,
    pressure: () => studio.state.pressure,
    // Squared, so that the lower half of the slider is for small tremors.
    reach: () => (LONGEST_REACH * (studio.state.streamline / 100) ** 2) / studio.state.zoom,
    symmetry: () => studio.state.symmetry,
    everywhere: () => studio.state.everywhere,
    selectMode: () => studio.state.selectMode,
    scale: () => studio.state.zoom,
    select: (selection) => studio.select(selection),
    sketch: (sketch) => studio.store.set({ sketch }),
    refused: (error) => studio.ports.say({ ...noticeOf(error, ""), key: "refused", lasting: false }),
  };
}
