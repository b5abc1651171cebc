/**
 * Label sets: what the ids of a label map mean.
 *
 * @typedef {[number, number, number]} Color sRGB, 0…255
 * @typedef {{id: number, name: string, color: Color, group: string}} Label
 * @typedef {{hash: string | null, name: string, ignore: number | null, labels: Label[]}} LabelSet
 *   `hash` is the server's name for the set; null while no server has told it.
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

/** What to take when a set has no label of that name; tried in order. */
const KIN = /** @type {Record<string, string[]>} */ ({
  sky: ["sky-other"],
  clouds: ["sky", "sky-other"],
  mountain: ["hill", "rock", "terrain", "earth"],
  hill: ["mountain", "grass", "terrain"],
  snow: ["ice", "sand", "earth", "terrain"],
  rock: ["stone", "mountain", "earth", "terrain"],
  dirt: ["earth", "ground-other", "ground", "terrain"],
  grass: ["field", "vegetation", "terrain"],
  flower: ["plant", "plant-other", "grass", "vegetation"],
  bush: ["plant", "plant-other", "tree", "vegetation"],
  tree: ["vegetation", "plant"],
  sand: ["earth", "dirt", "terrain"],
  sea: ["water", "water-other", "river"],
  river: ["water", "water-other", "sea"],
  road: ["path", "street", "dirt"],
  house: ["building", "building-other"],
  // and from other sets
  "sky-other": ["sky"],
  water: ["water-other", "river", "sea"],
  "water-other": ["water", "river", "sea"],
  lake: ["river", "water", "water-other"],
  earth: ["dirt", "terrain", "ground"],
  terrain: ["grass", "earth", "dirt"],
  ground: ["dirt", "earth", "terrain"],
  "ground-other": ["dirt", "earth", "terrain"],
  field: ["grass", "terrain"],
  plant: ["plant-other", "bush", "vegetation"],
  "plant-other": ["plant", "bush", "vegetation"],
  vegetation: ["tree", "plant", "bush"],
  path: ["road", "dirt", "earth"],
  street: ["road"],
  stone: ["rock"],
  ice: ["snow"],
  building: ["house", "building-other"],
  "building-other": ["building", "house"],
});

/**
 * @param {LabelSet} set
 * @param {string} name
 * @returns {Label | undefined} the label of that name, or its nearest kin in this set
 */
function kinOf(set, name) {
  for (const candidate of [name, ...(KIN[name] ?? [])]) {
    const found = set.labels.find((label) => label.name === candidate);
    if (found) return found;
  }
  return undefined;
}

/**
 * The label of a name, or its nearest kin in this set, or the set's first label that is not ignored.
 *
 * @param {LabelSet} set
 * @param {string} name
 * @returns {Label}
 */
export function labelByMeaning(set, name) {
  return kinOf(set, name) ?? set.labels.find((label) => label.id !== set.ignore) ?? set.labels[0];
}

/**
 * How ids of one set read in another, by meaning. What has no kin there becomes the ignored label, where there is one.
 *
 * @param {LabelSet} from
 * @param {LabelSet} to
 * @returns {Uint8Array} 256 ids of `to`, indexed by ids of `from`
 */
export function conversion(from, to) {
  const table = new Uint8Array(256);
  for (const { id, name } of from.labels) {
    table[id] = kinOf(to, name)?.id ?? to.ignore ?? labelByMeaning(to, name).id;
  }
  return table;
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
