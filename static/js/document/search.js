/**
 * Finding labels by what somebody types: by their names first, then by what they mean.
 *
 * @typedef {import("./labelset.js").Label} Label
 */

/**
 * @param {readonly Label[]} labels
 * @param {string} query words, all of which must be found
 * @param {(name: string) => string} [translate] the name as it is shown, which is searched too
 * @returns {Label[]} the best hit first; every label when nothing is asked
 */
export function searchLabels(labels, query, translate = (name) => name) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  const ranked = labels.map((label) => {
    const names = [label.name, translate(label.name)].map(plain);
    const ranks = words.map((word) => rank(word, names, (label.concepts ?? []).map(plain)));
    return { label, worst: Math.max(0, ...ranks) };
  });
  return ranked
    .filter(({ worst }) => worst < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.worst - b.worst)
    .map(({ label }) => label);
}

/** How far a word is from a label; 0 is nearest. @param {string} word @param {string[]} names @param {string[]} concepts */
function rank(word, names, concepts) {
  if (names.some((name) => name.startsWith(word))) return 0;
  if (names.some((name) => name.includes(` ${word}`))) return 1;
  if (names.some((name) => name.includes(word))) return 2;
  if (concepts.some((concept) => concept.startsWith(word))) return 3;
  if (concepts.some((concept) => concept.includes(word))) return 4;
  return Number.POSITIVE_INFINITY;
}

/** Without case, accents and what joins words. @param {string} text */
function plain(text) {
  return text
    .normalize("NFD")
    .replace(/\p{Mn}/gu, "")
    .replace(/[-_/.,]+/g, " ")
    .toLowerCase();
}

/**
 * The labels at hand, each at a place of its own that stays: a label that is not among them takes the place of the one
 * that was not used for longest.
 */
export class AtHand {
  /**
   * @param {number} places
   * @param {readonly number[]} [ids] what is there at first, by place
   */
  constructor(places, ids = []) {
    this.places = places;
    this.ids = ids.slice(0, places);
    /** The latest last. */
    this.order = [...this.ids].reverse();
  }

  /** @param {number} id */
  use(id) {
    this.order = [...this.order.filter((one) => one !== id), id];
    if (this.ids.includes(id)) return;
    if (this.ids.length < this.places) {
      this.ids.push(id);
      return;
    }
    const oldest = this.order.find((one) => this.ids.includes(one)) ?? this.ids[0];
    this.ids[this.ids.indexOf(oldest)] = id;
    this.order = this.order.filter((one) => one !== oldest);
  }
}
