import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { Hand } from "../../static/js/tools/hand.js";
import { ACTIONS } from "../../static/js/ui/actions.js";
import { comboOf, keyCaps } from "../../static/js/ui/keys.js";
import { LANDSCAPE } from "./helpers.js";

function bench() {
  const map = createMap(64, 48, 1);
  map.data.fill(8, 64 * 24);
  const document = new LabelDocument({ id: "a", title: "A", map, labelSet: LANDSCAPE, seed: 1 });
  const state = { label: 16, size: 6, picks: 0 };
  const hand = new Hand({
    document: () => document,
    label: () => state.label,
    size: () => state.size,
    setLabel: (id) => {
      state.label = id;
    },
    picked: () => {
      state.picks++;
    },
  });
  const at = (/** @type {number} */ x, /** @type {number} */ y) => map.data[y * 64 + x];
  return { document, map, state, hand, at };
}

test("a brush gesture is one step, however many moves it has", () => {
  const { document, hand, at, map } = bench();
  const before = map.data.slice();
  hand.down("brush", { x: 5, y: 5 });
  for (let x = 10; x < 60; x += 5) hand.move([{ x, y: 5 }]);
  assert.equal(at(30, 5), 16);
  assert.ok(hand.busy);
  hand.up();
  assert.equal(hand.busy, false);
  assert.ok(document.undo());
  assert.deepEqual(map.data, before);
  assert.equal(document.undo(), false);
});

test("cancelled gestures restore pixels and label, and the rest of them does nothing", () => {
  for (const tool of /** @type {const} */ (["brush", "fill", "pick"])) {
    const { document, hand, map, state } = bench();
    const before = map.data.slice();
    hand.down(tool, { x: 5, y: 5 });
    hand.move([{ x: 20, y: 40 }]);
    assert.ok(hand.cancel());
    assert.equal(hand.cancel(), false);
    hand.move([{ x: 50, y: 40 }]);
    hand.up();
    assert.deepEqual(map.data, before, tool);
    assert.equal(state.label, 16);
    assert.equal(state.picks, 0);
    assert.equal(document.history.canUndo, false);
  }
});

test("undo in the middle of a stroke ends it; what follows of it paints nothing", () => {
  const { document, hand, map } = bench();
  const before = map.data.slice();
  hand.down("brush", { x: 5, y: 5 });
  document.undo();
  hand.move([{ x: 30, y: 30 }]);
  hand.up();
  assert.deepEqual(map.data, before);
  assert.equal(document.history.canUndo, false);
});

test("fill and pick outside the map do nothing", () => {
  const { hand, map, state } = bench();
  const before = map.data.slice();
  hand.down("fill", { x: -3, y: 5 });
  hand.up();
  hand.down("pick", { x: 64, y: 5 });
  hand.up();
  assert.deepEqual(map.data, before);
  assert.equal(state.label, 16);
});

test("pick follows the pointer until it is let go", () => {
  const { hand, state } = bench();
  hand.down("pick", { x: 5, y: 5 });
  assert.equal(state.label, 1);
  hand.move([{ x: 5, y: 40 }]);
  assert.equal(state.label, 8);
  hand.up();
  assert.equal(state.picks, 1);
});

/** @param {string} key @param {object} [more] */
const press = (key, more) =>
  comboOf({ key, code: "", ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

test("keys are read the same on every keyboard", () => {
  assert.equal(press("b"), "b");
  assert.equal(press("Z", { ctrlKey: true, shiftKey: true }), "shift+mod+z");
  assert.equal(press("z", { metaKey: true }), "mod+z");
  assert.equal(press("?", { shiftKey: true }), "?");
  assert.equal(press("[", { altKey: true }), "alt+[");
  assert.equal(press("и", { code: "KeyB" }), "b");
  assert.equal(press("Delete"), "delete");
  assert.deepEqual(keyCaps("shift+mod+z", false), ["Ctrl", "Shift", "Z"]);
  assert.deepEqual(keyCaps("mod+y", true), ["⌘", "Y"]);
});

test("the action table: one id and one meaning for each key, words for everything", () => {
  assert.equal(new Set(ACTIONS.map(({ id }) => id)).size, ACTIONS.length);
  const keys = ACTIONS.flatMap((action) => action.keys);
  assert.equal(new Set(keys).size, keys.length);
  for (const { id, title, keys: combos } of ACTIONS) {
    assert.ok(title && combos.length > 0, id);
    for (const combo of combos) assert.equal(combo, combo.toLowerCase(), id);
  }
});
