import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { HOLE } from "../../static/js/document/layers.js";
import { combine, drawnMask } from "../../static/js/document/selection.js";
import { Hand } from "../../static/js/tools/hand.js";
import { Streamline } from "../../static/js/tools/streamline.js";
import { ACTIONS } from "../../static/js/ui/actions.js";
import { comboOf, keyCaps } from "../../static/js/ui/keys.js";
import { dice, LANDSCAPE } from "./helpers.js";

/** @typedef {import("../../static/js/tools/tool.js").Easel} Easel */
/** @typedef {import("../../static/js/tools/tool.js").Sketch} Sketch */
/** @typedef {import("../../static/js/tools/tool.js").PaintingToolName} PaintingToolName */

const WIDTH = 64;
const NONE = { shift: false, alt: false, mod: false };
const SHIFT = { ...NONE, shift: true };
const ALT = { ...NONE, alt: true };

/** @param {number} x @param {number} y @param {number} [pressure] */
const p = (x, y, pressure = 1) => ({ x, y, pressure });

function bench() {
  const map = createMap(WIDTH, 48, 1);
  map.data.fill(8, WIDTH * 24);
  const document = new LabelDocument({ id: "a", title: "A", map, labelSet: LANDSCAPE, seed: 1 });
  const state = {
    label: 16,
    size: 6,
    picks: /** @type {number[]} */ ([]),
    plane: /** @type {"labels" | "styles"} */ ("labels"),
    reach: 0,
    pressure: true,
    symmetry: /** @type {import("../../static/js/tools/tool.js").Symmetry} */ ("off"),
    everywhere: false,
    mode: /** @type {import("../../static/js/tools/tool.js").SelectMode} */ ("new"),
    sketch: /** @type {Sketch | null} */ (null),
    refusals: /** @type {string[]} */ ([]),
  };
  const hand = new Hand({
    document: () => document,
    begin: (value) => document.begin(value ?? state.label, state.plane),
    blank: () => document.blank(state.plane),
    value: () => state.label,
    valueAt: (index) => (state.plane === "labels" ? document.map : document.styles).data[index],
    setValue: (value) => {
      state.label = value;
    },
    picked: (before) => void state.picks.push(before),
    size: () => state.size,
    pressure: () => state.pressure,
    reach: () => state.reach,
    symmetry: () => state.symmetry,
    everywhere: () => state.everywhere,
    selectMode: () => state.mode,
    scale: () => 1,
    select: (selection) => {
      document.selection = selection;
    },
    sketch: (sketch) => {
      state.sketch = sketch;
    },
    refused: (error) => void state.refusals.push(error.what),
  });
  const at = (/** @type {number} */ x, /** @type {number} */ y) => document.map.data[y * WIDTH + x];
  /** @param {PaintingToolName} tool @param {[number, number][]} points @param {typeof NONE} [keys] */
  const drag = (tool, points, keys = NONE) => {
    const [first, ...rest] = points.map(([x, y]) => p(x, y));
    hand.down(tool, first, keys);
    for (const point of rest) hand.move([point], keys);
    hand.up();
  };
  /** How many pixels of a label there are. @param {number} label */
  const count = (label) => document.map.data.filter((id) => id === label).length;
  return { document, state, hand, at, drag, count, map: document.map };
}

test("a brush gesture is one step, however many moves it has", () => {
  const { document, hand, at, map } = bench();
  const before = map.data.slice();
  hand.down("brush", p(5, 5), NONE);
  for (let x = 10; x < 60; x += 5) hand.move([p(x, 5)], NONE);
  assert.equal(at(30, 5), 16);
  assert.ok(hand.busy);
  hand.up();
  assert.equal(hand.busy, false);
  assert.ok(document.undo());
  assert.deepEqual(map.data, before);
  assert.equal(document.undo(), false);
});

/** @type {PaintingToolName[]} */
const ALL = [
  "brush",
  "eraser",
  "line",
  "rectangle",
  "ellipse",
  "polygon",
  "area",
  "fill",
  "pick",
  "select",
  "select-lasso",
  "wand",
];

test("cancelled gestures restore pixels, label and selection, and the rest of them does nothing", () => {
  for (const tool of ALL) {
    const { document, hand, map, state } = bench();
    const before = map.data.slice();
    hand.down(tool, p(5, 5), NONE);
    hand.move([p(20, 40), p(40, 20)], NONE);
    assert.ok(hand.cancel(), tool);
    assert.equal(hand.cancel(), false, tool);
    hand.move([p(50, 40)], NONE);
    hand.up();
    assert.deepEqual(map.data, before, tool);
    assert.equal(state.label, 16);
    assert.deepEqual(state.picks, []);
    assert.equal(state.sketch, null, tool);
    assert.equal(document.selection, null, tool);
    assert.equal(document.history.canUndo, false);
  }
});

test("undo in the middle of a stroke ends it; what follows of it paints nothing", () => {
  for (const tool of /** @type {const} */ (["brush", "rectangle"])) {
    const { document, hand, map } = bench();
    const before = map.data.slice();
    hand.down(tool, p(5, 5), NONE);
    document.undo();
    hand.move([p(30, 30)], NONE);
    hand.up();
    assert.deepEqual(map.data, before);
    assert.equal(document.history.canUndo, false);
  }
});

test("a locked layer is told of once a gesture, and nothing else happens, with any tool that paints", () => {
  for (const tool of ALL.filter((name) => !["pick", "select", "select-lasso", "wand"].includes(name))) {
    const { document, drag, map, state } = bench();
    document.changeLayer("base", { locked: true });
    const before = map.data.slice();
    drag(tool, [
      [5, 5],
      [20, 40],
      [40, 20],
    ]);
    assert.deepEqual(state.refusals, ["The layer is locked."], tool);
    assert.deepEqual(map.data, before, tool);
  }
});

test("fill and pick outside the map do nothing", () => {
  const { hand, map, state } = bench();
  const before = map.data.slice();
  hand.down("fill", p(-3, 5), NONE);
  hand.up();
  hand.down("pick", p(64, 5), NONE);
  hand.up();
  assert.deepEqual(map.data, before);
  assert.equal(state.label, 16);
});

test("pick follows the pointer until it is let go", () => {
  const { hand, state } = bench();
  hand.down("pick", p(5, 5), NONE);
  assert.equal(state.label, 1);
  hand.move([p(5, 40)], NONE);
  assert.equal(state.label, 8);
  hand.up();
  assert.deepEqual(state.picks, [16]);
});

test("a steadied stroke depends on the way alone, not on how often it is told", () => {
  const roll = dice(3);
  for (let round = 0; round < 50; round++) {
    const reach = roll(300) / 10;
    const corners = Array.from({ length: 6 }, () => p(roll(2000) / 10, roll(2000) / 10, roll(100) / 100));
    const once = new Streamline(reach, corners[0]);
    const often = new Streamline(reach, corners[0]);
    for (let i = 1; i < corners.length; i++) {
      const [a, b] = [corners[i - 1], corners[i]];
      const parts = 1 + roll(9);
      const end = once.follow(b).at(-1);
      let other;
      for (let k = 1; k <= parts; k++) {
        const part = k / parts;
        const at = (/** @type {"x" | "y" | "pressure"} */ key) => a[key] + (b[key] - a[key]) * part;
        other = often.follow(p(at("x"), at("y"), at("pressure"))).at(-1);
      }
      for (const key of /** @type {const} */ (["x", "y", "pressure"])) {
        assert.ok(Math.abs((end?.[key] ?? 0) - (other?.[key] ?? 0)) < 1e-9, `round ${round}, ${key}`);
      }
    }
  }
});

test("a steadied tip is never farther from the pointer than its reach, and is drawn in small steps", () => {
  const roll = dice(4);
  for (const reach of [0.3, 2, 9, 40]) {
    let before = p(50, 50);
    const stroke = new Streamline(reach, before);
    for (let i = 0; i < 200; i++) {
      const to = p(roll(1000) / 10, roll(1000) / 10);
      for (const tip of stroke.follow(to)) {
        assert.ok(
          Math.hypot(tip.x - before.x, tip.y - before.y) <= Math.max(1, Math.sqrt(reach)) * 1.5 + 1e-9,
        );
        before = tip;
      }
      assert.ok(Math.hypot(to.x - before.x, to.y - before.y) <= reach + 1e-9);
    }
  }
});

test("a steadied stroke ends where the hand does, smooths a zigzag and keeps a straight line", () => {
  const { hand, at, state, count } = bench();
  state.size = 1;
  state.reach = 12;
  hand.down("brush", p(4.5, 10.5), NONE);
  for (let x = 5; x <= 58; x++) hand.move([p(x + 0.5, 10.5 + (x % 2 ? 3 : -3))], NONE);
  assert.notEqual(at(58, 7), 16, "the tip lags behind");
  hand.up();
  assert.equal(at(4, 10), 16);
  assert.equal(at(58, 7), 16, "and catches up at the end");
  for (let x = 20; x < 45; x++) {
    for (const y of [7, 13]) assert.notEqual(at(x, y), 16, `the zigzag is gone at ${x}`);
  }
  const before = count(16);
  hand.down("brush", p(4.5, 40.5), NONE);
  for (let x = 5; x <= 58; x++) hand.move([p(x + 0.5, 40.5)], NONE);
  hand.up();
  assert.equal(count(16) - before, 55, "one row, from end to end");
});

test("pressure makes the stroke thinner, where it is wanted", () => {
  const { hand, state, at } = bench();
  state.size = 12;
  hand.down("brush", p(10, 12, 1), NONE);
  hand.move([p(50, 12, 0.25)], NONE);
  hand.up();
  const thick = (/** @type {number} */ x) =>
    Array.from({ length: 24 }, (_, y) => at(x, y)).filter((id) => id === 16).length;
  assert.equal(thick(10), 12);
  assert.ok(thick(30) < 11 && thick(30) > 5);
  assert.ok(thick(50) <= 4 && thick(50) >= 2);
  state.pressure = false;
  hand.down("brush", p(10, 12, 0.1), NONE);
  hand.up();
  assert.equal(thick(10), 12);
});

test("Shift draws on from where the last stroke ended", () => {
  const { drag, state, at } = bench();
  state.size = 1;
  drag("brush", [[5.5, 5.5]]);
  drag("brush", [[45.5, 5.5]], SHIFT);
  for (let x = 5; x <= 45; x++) assert.equal(at(x, 5), 16, `${x}`);
});

test("the eraser opens a layer and leaves sky at the bottom", () => {
  const { document, drag, at, state } = bench();
  drag("eraser", [[10.5, 40.5]]);
  assert.equal(at(10, 40), 1);
  document.addLayer("b", "B");
  drag("rectangle", [
    [20, 30],
    [40, 40],
  ]);
  assert.equal(at(30, 35), 16);
  drag("eraser", [[30.5, 35.5]]);
  assert.equal(document.layer.map.data[35 * WIDTH + 30], HOLE);
  assert.equal(at(30, 35), 8);
  state.plane = "styles";
  state.label = 2;
  drag("brush", [[30.5, 35.5]]);
  assert.equal(document.styles.data[35 * WIDTH + 30], 2);
  drag("eraser", [[30.5, 35.5]]);
  assert.ok(document.styles.data.every((value) => value === 0));
});

test("shapes: exact pixels, squares and circles with Shift, from the middle with Alt", () => {
  const cases = /** @type {const} */ ([
    [
      "rectangle",
      NONE,
      (/** @type {number} */ x, /** @type {number} */ y) => x >= 10 && x <= 30 && y >= 8 && y <= 18,
    ],
    [
      "rectangle",
      SHIFT,
      (/** @type {number} */ x, /** @type {number} */ y) => x >= 10 && x <= 30 && y >= 8 && y <= 28,
    ],
    ["rectangle", ALT, (/** @type {number} */ x, /** @type {number} */ y) => x <= 30 && y <= 18],
    [
      "ellipse",
      NONE,
      (/** @type {number} */ x, /** @type {number} */ y) =>
        ((x - 20) / 10.5) ** 2 + ((y - 13) / 5.5) ** 2 <= 1,
    ],
    [
      "ellipse",
      SHIFT,
      (/** @type {number} */ x, /** @type {number} */ y) =>
        ((x - 20) / 10.5) ** 2 + ((y - 18) / 10.5) ** 2 <= 1,
    ],
  ]);
  for (const [tool, keys, inside] of cases) {
    const { drag, at } = bench();
    // Drawn anew at every move: only the last position counts.
    drag(
      tool,
      [
        [10.5, 8.5],
        [60, 47],
        [30.5, 18.5],
      ],
      keys,
    );
    for (let y = 0; y < 48; y++) {
      for (let x = 0; x < WIDTH; x++) assert.equal(at(x, y) === 16, inside(x, y), `${tool} ${x}, ${y}`);
    }
  }
});

test("lines snap to 45° while Shift is down, and no longer when it is released", () => {
  const { hand, at, state } = bench();
  state.size = 1;
  hand.down("line", p(10.5, 10.5), NONE);
  hand.move([p(40.5, 14.5)], SHIFT);
  assert.equal(at(40, 10), 16);
  hand.move([], NONE);
  assert.equal(at(40, 10), 1);
  assert.equal(at(40, 14), 16);
  hand.up();
});

test("polygons: corners, back, closing by the first corner, by a double click and by finish", () => {
  const corners = /** @type {[number, number][]} */ ([
    [10, 4],
    [50, 4],
    [50, 20],
    [10, 20],
  ]);
  const ends = {
    first: (/** @type {ReturnType<typeof bench>} */ { drag }) => drag("polygon", [[12, 6]]),
    twice: (/** @type {ReturnType<typeof bench>} */ { drag }) => drag("polygon", [corners[3]]),
    finish: (/** @type {ReturnType<typeof bench>} */ { hand }) => hand.finish(),
  };
  for (const [name, end] of Object.entries(ends)) {
    const b = bench();
    for (const corner of corners.slice(0, 3)) b.drag("polygon", [corner]);
    b.drag("polygon", [[2, 40]]);
    assert.ok(b.hand.back());
    b.drag("polygon", [corners[3]]);
    assert.equal(b.count(16), 0, "nothing is filled before it is closed");
    assert.equal(b.state.sketch?.handles?.length, 4);
    end(b);
    assert.equal(b.count(16), 40 * 16, name);
    assert.equal(b.hand.busy, false, name);
    assert.equal(b.state.sketch, null, name);
    assert.ok(b.document.undo());
    assert.equal(b.count(16), 0);
  }
});

test("taking back the last corner ends a polygon; another tool cancels it", () => {
  const { hand, drag, state, count } = bench();
  drag("polygon", [[10, 4]]);
  assert.ok(hand.busy);
  assert.ok(hand.back());
  assert.equal(hand.busy, false);
  assert.equal(hand.back(), false);
  drag("polygon", [[10, 4]]);
  drag("brush", [[30, 30]]);
  assert.equal(state.sketch, null);
  assert.ok(count(16) > 0);
});

test("a freehand area that crosses itself is filled as a whole", () => {
  const { drag, at } = bench();
  drag("area", [
    [10, 10],
    [30, 10],
    [30, 22],
    [14, 22],
    [14, 4],
    [26, 4],
    [26, 16],
    [10, 16],
  ]);
  assert.equal(at(20, 13), 16, "wound round twice");
  assert.equal(at(28, 20), 16);
});

test("fill: connected or everywhere, by the labels that are seen, into the active layer", () => {
  const { document, drag, at, state, count } = bench();
  drag("rectangle", [
    [30, 0],
    [31, 23],
  ]);
  state.label = 5;
  drag("fill", [[3, 3]]);
  assert.equal(at(3, 20), 5);
  assert.equal(at(50, 3), 1, "beyond the wall");
  document.undo();
  state.everywhere = true;
  document.addLayer("b", "B");
  drag("fill", [[3, 3]]);
  assert.equal(count(5), 62 * 24);
  assert.equal(document.layers[0].map.data[0], 1, "the layer below is as it was");
  assert.equal(document.layer.map.data[0], 5);
});

test("symmetry mirrors every shape to the pixel, and fills from every image of the point", () => {
  for (const symmetry of /** @type {const} */ (["vertical", "horizontal", "both"])) {
    for (const tool of /** @type {const} */ (["brush", "line", "rectangle", "ellipse", "area", "eraser"])) {
      const { drag, state, map, document } = bench();
      map.data.fill(8);
      document.layers[0].map.data.fill(8);
      state.symmetry = symmetry;
      drag(tool, [
        [5.2, 3.9],
        [20.7, 9.1],
        [11.3, 19.6],
      ]);
      const changed = map.data.map((id) => Number(id !== 8));
      assert.ok(changed.includes(1));
      for (let y = 0; y < 48; y++) {
        for (let x = 0; x < WIDTH; x++) {
          const value = changed[y * WIDTH + x];
          if (symmetry !== "horizontal") assert.equal(changed[y * WIDTH + WIDTH - 1 - x], value, tool);
          if (symmetry !== "vertical") assert.equal(changed[(47 - y) * WIDTH + x], value, tool);
        }
      }
      assert.ok(document.undo());
      assert.ok(map.data.every((id) => id === 8));
    }
  }
  const { drag, state, count } = bench();
  state.symmetry = "horizontal";
  drag("fill", [[3, 3]]);
  assert.equal(count(16), WIDTH * 48, "both halves");
});

/** @param {import("../../static/js/document/labelmap.js").LabelMap | null} mask */
const area = (mask) => mask?.data.reduce((sum, value) => sum + value, 0) ?? 0;

test("selecting: rectangle, lasso, wand; add, subtract, intersect by keys and by mode; a click lets go", () => {
  const { document, drag, state } = bench();
  drag("select", [
    [10, 10],
    [19, 19],
  ]);
  assert.equal(area(document.selection), 100);
  drag(
    "select",
    [
      [15, 15],
      [24, 24],
    ],
    SHIFT,
  );
  assert.equal(area(document.selection), 175);
  drag(
    "select",
    [
      [10, 10],
      [14, 24],
    ],
    ALT,
  );
  assert.equal(area(document.selection), 125);
  state.mode = "intersect";
  drag("select-lasso", [
    [15, 15],
    [20, 15],
    [20, 20],
    [15, 20],
  ]);
  assert.equal(area(document.selection), 25);
  state.mode = "new";
  drag("wand", [[3, 30]]);
  assert.equal(area(document.selection), WIDTH * 24);
  drag("select", [[3, 3]]);
  assert.equal(document.selection, null);
});

test("strokes keep to the selection", () => {
  const { drag, count } = bench();
  drag("select", [
    [10, 0],
    [19, 47],
  ]);
  drag("rectangle", [
    [0, 0],
    [63, 47],
  ]);
  assert.equal(count(16), 10 * 48);
});

/** A house of 6 × 6 at 10, 10, selected. */
function housed() {
  const b = bench();
  b.drag("rectangle", [
    [10, 10],
    [15, 15],
  ]);
  b.drag("select", [
    [10, 10],
    [15, 15],
  ]);
  return b;
}

test("dragging what is selected moves it live; it is one step, and what is selected goes along", () => {
  const { document, hand, at, drag, count } = housed();
  const before = document.map.data.slice();
  hand.down("select", p(12, 12), NONE);
  hand.move([p(30, 14)], NONE);
  assert.equal(at(30, 14), 16);
  assert.equal(at(12, 12), 1, "sky where it was");
  hand.move([p(32, 22)], NONE);
  assert.equal(at(29, 13), 1, "only where it is now");
  hand.up();
  assert.equal(count(16), 36);
  assert.equal(at(30, 20), 16);
  assert.equal(area(document.selection), 36);
  assert.equal(document.selection?.data[20 * WIDTH + 30], 1);
  document.undo();
  assert.deepEqual(document.map.data, before);
  drag("wand", [[12, 12]]);
  drag(
    "select",
    [
      [12, 12],
      [30, 30],
    ],
    { ...NONE, mod: true },
  );
  assert.equal(count(16), 72, "a copy");
});

test("a piece may leave the painting in part, or as a whole", () => {
  const { document, drag, count } = housed();
  drag("select", [
    [12, 12],
    [-1, 12],
  ]);
  assert.equal(count(16), 3 * 6);
  assert.equal(area(document.selection), 3 * 6);
  drag("select", [
    [1, 12],
    [-60, 12],
  ]);
  assert.equal(count(16), 0);
  assert.equal(document.selection, null);
});

test("nudging floats until it is set down; cancel puts it back, another tool sets it down", () => {
  const { document, hand, at, drag, count } = housed();
  const { mover } = hand;
  const before = document.map.data.slice();
  assert.ok(mover.lift(false));
  mover.by(1, 0);
  mover.by(1, 5);
  assert.equal(at(17, 20), 16);
  assert.ok(mover.holds(p(13, 16)));
  assert.ok(hand.cancel());
  assert.deepEqual(document.map.data, before);
  assert.equal(area(document.selection), 36);
  assert.ok(mover.lift(false));
  mover.by(0, 20);
  drag("pick", [[50, 5]]);
  assert.equal(mover.active, false);
  assert.equal(at(12, 32), 16);
  assert.equal(count(16), 36);
  document.undo();
  assert.deepEqual(document.map.data, before);
});

test("a float lifts only what its layer has, and what is selected of nothing is not moved", () => {
  const { document, hand, at } = housed();
  document.addLayer("b", "B");
  assert.equal(hand.mover.lift(false), false, "the layer is empty there");
  document.setActive("base");
  assert.ok(hand.mover.lift(false));
  hand.mover.by(20, 0);
  hand.mover.drop();
  assert.equal(at(32, 12), 16);
});

test("a pasted piece floats where it was copied and can be dragged before it is set down", () => {
  const { document, hand, at, drag, count } = housed();
  const piece = {
    rect: { x: 40, y: 40, width: 2, height: 2 },
    values: Uint8Array.of(5, 5, 5, 5),
    mask: Uint8Array.of(1, 1, 1, 0),
  };
  hand.mover.paste(piece);
  assert.equal(count(5), 3);
  assert.equal(area(document.selection), 3);
  drag("select", [
    [40.5, 40.5],
    [50.5, 40.5],
  ]);
  assert.equal(at(50, 40), 5);
  assert.equal(at(40, 40), 8, "nothing is left where it floated first");
  assert.equal(document.selection?.data[40 * WIDTH + 50], 1);
  document.undo();
  assert.equal(count(5), 0);
});

test("a pinch takes back only what its first finger began: a corner, a drag, not the polygon or what floats", () => {
  const b = bench();
  for (const corner of /** @type {[number, number][]} */ ([
    [10, 4],
    [50, 4],
    [50, 20],
  ])) {
    b.drag("polygon", [corner]);
  }
  b.hand.down("polygon", p(30, 40), NONE);
  b.hand.retract();
  assert.equal(b.state.sketch?.handles?.length, 3);
  assert.ok(b.hand.finish());
  assert.ok(b.count(16) > 300);

  const { hand, at, count, document } = housed();
  assert.ok(hand.mover.lift(true));
  hand.mover.by(20, 0);
  hand.down("select", p(32, 12), NONE);
  hand.move([p(32, 30)], NONE);
  assert.equal(at(32, 30), 16);
  hand.retract();
  assert.ok(hand.mover.active);
  assert.equal(at(32, 12), 16, "where it floated before");
  hand.mover.drop();
  assert.equal(count(16), 72);
  hand.down("brush", p(5, 40), NONE);
  hand.retract();
  assert.equal(count(16), 72);
  assert.equal(document.gesture, null);
});

test("how selections meet", () => {
  const left = drawnMask(4, 1, (span) => span(0, 0, 2));
  const right = drawnMask(4, 1, (span) => span(0, 1, 3));
  assert.deepEqual(combine(left, right, "add")?.data, Uint8Array.of(1, 1, 1, 0));
  assert.deepEqual(combine(left, right, "subtract")?.data, Uint8Array.of(1, 0, 0, 0));
  assert.deepEqual(combine(left, right, "intersect")?.data, Uint8Array.of(0, 1, 0, 0));
  assert.equal(combine(left, left, "subtract"), null);
  assert.equal(combine(null, left, "add"), left);
  assert.equal(combine(null, left, "subtract"), null);
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
  assert.deepEqual(keyCaps("arrowleft", false), ["←"]);
  assert.deepEqual(keyCaps(" ", false), ["Space"]);
});

test("the action table: one id and one meaning for each key, words for everything", () => {
  assert.equal(new Set(ACTIONS.map(({ id }) => id)).size, ACTIONS.length);
  const keys = ACTIONS.flatMap((action) => action.keys);
  assert.deepEqual(
    keys.filter((key, i) => keys.indexOf(key) !== i),
    [],
  );
  for (const { id, title, keys: combos } of ACTIONS) {
    assert.ok(title, id);
    for (const combo of combos) assert.equal(combo, combo.toLowerCase(), id);
  }
});

test("no tool and no handler of pointers waits for anything", () => {
  const ui = ["surface", "pointers", "heldkeys", "easel", "selecting"].map((name) => `ui/${name}.js`);
  const root = new URL("../../static/js/", import.meta.url);
  const tools = readdirSync(new URL("tools/", root)).map((name) => `tools/${name}`);
  for (const file of [...ui, ...tools]) {
    assert.doesNotMatch(
      readFileSync(new URL(file, root), "utf8"),
      /\b(await|async)\b|\.then\(|Promise/,
      file,
    );
  }
});

test("a shape drawn anew at every move leaves only its last form, whatever it has passed over", () => {
  const roll = dice(9);
  for (let round = 0; round < 40; round++) {
    const tool = /** @type {const} */ (["line", "rectangle", "ellipse"])[round % 3];
    const symmetry = /** @type {const} */ (["off", "vertical", "both"])[round % 3];
    const [live, once] = [bench(), bench()];
    for (const { state, document } of [live, once]) {
      state.symmetry = symmetry;
      if (round % 2) document.selection = drawnMask(WIDTH, 48, (span) => span(20, 3, 50));
    }
    const points = Array.from(
      { length: 8 },
      () => /** @type {[number, number]} */ ([roll(80) - 8, roll(60) - 6]),
    );
    live.drag(tool, points);
    once.drag(tool, [points[0], points[7]]);
    assert.deepEqual(live.document.map.data, once.document.map.data, `round ${round}`);
    if (live.document.undo()) assert.deepEqual(live.document.map.data, bench().document.map.data);
  }
});
