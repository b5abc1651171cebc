import assert from "node:assert/strict";
import { test } from "node:test";
import { AtHand, searchLabels } from "../../static/js/document/search.js";

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
const names = (query, translate) => searchLabels(LABELS, query, translate).map(({ name }) => name);

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
