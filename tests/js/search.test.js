import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { AtHand, searchLabels } from "../../static/js/document/search.js";
import { SYNONYMS } from "../../static/js/document/synonyms.js";

/** @param {string} name @param {string[]} [concepts] @param {number} [id] */
const label = (name, concepts, id = 0) => ({ id, name, concepts, color: [0, 0, 0], group: "g" });
const LABELS = /** @type {import("../../static/js/document/labelset.js").Label[]} */ ([
  label("water-other", ["water"]),
  label("sea", ["sea", "water"]),
  label("street light", ["light", "street light"]),
  label("tree", ["tree", "plant"]),
  label("straw", ["straw"]),
  label("café", ["building"]),
]);
/** @param {string} query @param {(name: string) => string} [translate] */
const names = (query, translate) => searchLabels(LABELS, query, translate).map(({ label }) => label.name);

test("names come before meanings, and their beginnings first", () => {
  assert.deepEqual(names("water"), ["water-other", "sea"]);
  assert.deepEqual(names("light"), ["street light"]);
  assert.deepEqual(names("tr"), ["tree", "street light", "straw"]);
  assert.deepEqual(names("plant"), ["tree"]);
});

test("case, accents, hyphens and the order of words do not matter; every word does", () => {
  assert.deepEqual(names("CAFE"), ["café"]);
  assert.deepEqual(names("water other"), ["water-other"]);
  assert.deepEqual(names("other water"), ["water-other"]);
  assert.deepEqual(names("water tree"), []);
  assert.equal(names("  ").length, LABELS.length);
});

test("what is shown is found as well as the name", () => {
  const chinese = (/** @type {string} */ name) => ({ sea: "海", tree: "树" })[name] ?? name;
  assert.deepEqual(names("海", chinese), ["sea"]);
  assert.deepEqual(names("sea", chinese), ["sea"]);
});

const SETS = JSON.parse(readFileSync(new URL("../../static/label-sets/sets.json", import.meta.url), "utf8"));
/** @param {string} set @param {string} query */
const found = (set, query) =>
  searchLabels(
    SETS.find((/** @type {{name: string}} */ { name }) => name === set).labels,
    query,
    undefined,
    SYNONYMS,
  ).map(({ label, word }) => [label.name, word]);

test("a label is found by other words for what it shows, after those that are called so", () => {
  assert.deepEqual(found("landscape17", "lake"), [
    ["river", "lake"],
    ["sea", "lake"],
  ]);
  assert.deepEqual(found("landscape17", "湖")[0], ["river", "湖"]);
  for (const [word, name] of Object.entries(EVERYDAY)) {
    assert.ok(
      found("landscape17", word).some(([one]) => one === name),
      word,
    );
  }
  assert.deepEqual(found("ade150", "lake")[0], ["lake", null], "a set that has one of its own");
  assert.ok(found("cityscapes35", "forest").some(([name]) => name === "vegetation"));
  assert.deepEqual(found("landscape17", "ju"), [], "two letters begin too much");
  assert.deepEqual(found("landscape17", "giraffe"), []);
});

const EVERYDAY = {
  ...{ pond: "river", stream: "river", ocean: "sea", beach: "sand", forest: "tree", meadow: "grass" },
  ...{ peak: "mountain", cliff: "rock", cloud: "clouds", path: "road", street: "road", building: "house" },
  ...{ cabin: "house", soil: "dirt", mud: "dirt", stone: "rock", ice: "snow", 森林: "tree", 沙滩: "sand" },
};

test("every other word is one of a concept that a built-in set has", () => {
  const concepts = new Set(
    SETS.flatMap((/** @type {import("../../static/js/document/labelset.js").LabelSet} */ { labels }) =>
      labels.map(({ name, concepts }) => concepts?.[0] ?? name),
    ),
  );
  for (const concept of Object.keys(SYNONYMS)) assert.ok(concepts.has(concept), concept);
});

test("labels at hand keep their places", () => {
  const hand = new AtHand(3, [10, 11]);
  hand.use(11);
  assert.deepEqual(hand.ids, [10, 11]);
  hand.use(12);
  assert.deepEqual(hand.ids, [10, 11, 12]);
  hand.use(10);
  hand.use(13);
  assert.deepEqual(hand.ids, [10, 13, 12], "the one that was not used for longest makes room");
  hand.use(14);
  assert.deepEqual(hand.ids, [10, 13, 14]);
  assert.deepEqual(new AtHand(2, [1, 2, 3]).ids, [1, 2]);
});
