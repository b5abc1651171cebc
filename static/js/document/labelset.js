/**
 * Label sets: what the ids of a label map mean.
 *
 * @typedef {[number, number, number]} Color sRGB, 0…255
 * @typedef {{name: string, concepts?: string[]}} Meaning a name, and what it stands for: the concept of its own, then
 *   broader ones, the nearest first. The server knows them; a name without any is its own concept.
 * @typedef {Meaning & {id: number, color: Color, group: string}} Label
 * @typedef {{hash: string | null, name: string, ignore: number | null, labels: Label[]}} LabelSet
 *   `hash` is the server's name for the set; null while no server has told it.
 * @typedef {{id: number, exact: boolean}} Match where a meaning goes in a set; not exact when only a broader one is there
 */

/**
 * @param {LabelSet} set
 * @param {number} id
 * @returns {Label | undefined}
 */
export function labelById(set, id) {
  return set.labels.find((label) => label.id === id);
}

/**
 * The set's labels by group, groups in order of first appearance, the ignore label last.
 *
 * @param {LabelSet} set
 * @returns {{group: string, labels: Label[]}[]}
 */
export function groupLabels(set) {
  /** @type {Map<string, Label[]>} */
  const groups = new Map();
  const ordered = [...set.labels].sort(
    (a, b) => Number(a.id === set.ignore) - Number(b.id === set.ignore) || a.id - b.id,
  );
  for (const label of ordered) {
    const members = groups.get(label.group) ?? [];
    members.push(label);
    groups.set(label.group, members);
  }
  return [...groups].map(([group, labels]) => ({ group, labels }));
}

/**
 * @param {LabelSet} set
 * @param {Color} color
 * @returns {Label} the label whose colour is nearest (squared distance in sRGB; the lower id wins a tie)
 */
export function nearestLabel(set, [r, g, b]) {
  let best = set.labels[0];
  let least = Number.POSITIVE_INFINITY;
  for (const label of set.labels) {
    const distance = (label.color[0] - r) ** 2 + (label.color[1] - g) ** 2 + (label.color[2] - b) ** 2;
    if (distance < least) {
      least = distance;
      best = label;
    }
  }
  return best;
}

/**
 * The label that a meaning goes to: the one of the same name, else of the same concept, else of the nearest broader one.
 * The server's own rule (`convert` in models/labels.py); tests/data/conversion.json holds both to it.
 *
 * @param {LabelSet} set
 * @param {Meaning} meaning
 * @returns {Match | undefined} nothing when the set has no such thing
 */
export function findMeaning(set, meaning) {
  const named = set.labels.find(({ name }) => name === meaning.name);
  if (named) return { id: named.id, exact: true };
  for (const [steps, concept] of conceptsOf(meaning).entries()) {
    const found = set.labels.find((label) => conceptsOf(label)[0] === concept);
    if (found) return { id: found.id, exact: steps === 0 };
  }
  return undefined;
}

/**
 * The same for every label of a set. What another set has nothing for becomes its ignored label, else its first.
 *
 * @param {LabelSet} from
 * @param {LabelSet} to
 * @returns {Map<number, Match>} by id of `from`
 */
export function matches(from, to) {
  return new Map(
    from.labels.map((label) => [
      label.id,
      findMeaning(to, label) ?? { id: leftover(to), exact: isNothing(label) },
    ]),
  );
}

/**
 * @param {LabelSet} from
 * @param {LabelSet} to
 * @returns {Uint8Array} 256 ids of `to`, indexed by ids of `from`
 */
export function conversion(from, to) {
  const table = new Uint8Array(256).fill(leftover(to));
  for (const [id, match] of matches(from, to)) table[id] = match.id;
  return table;
}

/** @param {LabelSet} set @returns {number} the id of what has no label there */
function leftover({ ignore, labels }) {
  return ignore ?? labels[0].id;
}

/** @param {Meaning} meaning @returns {string[]} */
function conceptsOf({ name, concepts }) {
  return concepts?.length ? concepts : [name];
}

/** "Not labelled" loses nothing when it becomes the ignored label. @param {Meaning} meaning */
function isNothing(meaning) {
  return conceptsOf(meaning)[0] === "unlabeled";
}

/**
 * @param {LabelSet} set
 * @param {Meaning} meaning
 * @returns {number} the id to draw it with, as `matches` would
 */
export function idOfMeaning(set, meaning) {
  return findMeaning(set, meaning)?.id ?? leftover(set);
}

/**
 * Whether two sets give the same ids the same names; colours and groups are only dress.
 *
 * @param {LabelSet} a
 * @param {LabelSet} b
 * @returns {boolean}
 */
export function sameSet(a, b) {
  if (a.labels.length !== b.labels.length) return false;
  return a.labels.every((label) => labelById(b, label.id)?.name === label.name);
}
