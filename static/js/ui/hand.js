/**
 * What the hand held, remembered in this browser: the label by label set, and the size of the brush. A painting that is
 * opened again is painted on with what it was left with.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 */
import { recall, remember } from "../core/remember.js";
import { labelById } from "../document/labelset.js";

/** Of so many label sets a browser remembers the label. */
const MOST_SETS = 16;
/** Milliseconds that a choice stands before it is remembered: a slider makes many. */
const STANDS = 300;

/** @returns {{size?: number, labels: [string, number][]}} `labels`: by the name of the set, the latest first */
function held() {
  const { size, labels } = /** @type {any} */ (recall("hand")) ?? {};
  return {
    ...(Number.isInteger(size) && size > 0 && { size }),
    labels: Array.isArray(labels)
      ? labels.filter((one) => Array.isArray(one) && one.length === 2).slice(0, MOST_SETS)
      : [],
  };
}

/** @returns {number | undefined} the brush diameter in map pixels */
export function heldSize() {
  return held().size;
}

/** @param {LabelSet} set @returns {number | undefined} the id of the label, where the set has it */
export function heldLabel(set) {
  const id = held().labels.find(([name]) => name === set.name)?.[1];
  return id === undefined ? id : labelById(set, id)?.id;
}

/** @param {Studio} studio */
export function rememberHand(studio) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const write = () => {
    const { document, label, size } = studio.state;
    if (!document) return;
    const { name } = document.labelSet;
    const others = held().labels.filter(([one]) => one !== name);
    remember("hand", { size, labels: [[name, label], ...others].slice(0, MOST_SETS) });
  };
  studio.store.watch(["label", "size"], ({ document }) => {
    clearTimeout(timer);
    if (document) timer = setTimeout(write, STANDS);
  });
  addEventListener("pagehide", write);
}
