/**
 * Finding labels by what somebody types: by their names first, then by what they mean.
 *
 * @typedef {import("./labelset.js").Label} Label
 * @typedef {{label: Label, word: string | null}} Hit `word`: the other word that it was found by
 */

/** After every name and meaning. */
const SYNONYM = 5;

/**
 * @param {readonly Label[]} labels
 * @param {string} query words, all of which must be found
 * @param {(name: string) => string} [translate] the name as it is shown, which is searched too
 * @param {Readonly<Record<string, readonly string[]>>} [synonyms] other words, by the concept that a label is of
 * @returns {Hit[]} the best first; every label when nothing is asked
 */
export function searchLabels(labels, query, translate = (name) => name, synonyms = {}) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  const ranked = labels.map((label) => {
    const names = [label.name, translate(label.name)].map(plain);
    const ranks = words.map((word) => rank(word, names, (label.concepts ?? []).map(plain)));
    const worst = Math.max(0, ...ranks);
    if (worst < Number.POSITIVE_INFINITY) return { label, word: null, worst };
    const others = synonyms[label.concepts?.[0] ?? label.name] ?? [];
    const at = otherWord(query, others);
    return at < 0 ? { label, word: null, worst } : { label, word: others[at], worst: SYNONYM + at };
  });
  return ranked
    .filter(({ worst }) => worst < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.worst - b.worst)
    .map(({ label, word }) => ({ label, word }));
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

/**
 * @param {string} query
 * @param {readonly string[]} others what comes first says best what the label shows
 * @returns {number} where in them the asked word is, or else one that begins with it; -1 for none
 */
function otherWord(query, others) {
  const asked = plain(query).trim();
  // With two letters too much begins; in other scripts a sign is a word.
  if (/^[a-z ]{0,2}$/.test(asked)) return -1;
  const words = others.map(plain);
  const same = words.indexOf(asked);
  return same >= 0 ? same : words.findIndex((word) => word.startsWith(asked));
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
