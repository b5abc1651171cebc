import assert from "node:assert/strict";
import { test } from "node:test";
import { Pointers } from "../../static/js/ui/pointers.js";
import { LARGEST_PIXEL, Viewport } from "../../static/js/view/viewport.js";
import { dice } from "./helpers.js";

const PANE = { width: 500, height: 300 };

/** @param {number} width @param {number} height */
function viewport(width, height) {
  const view = new Viewport();
  view.setContent({ width, height });
  return view;
}

/** @param {number} a @param {number} b */
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

test("a painting fits, whole, in the middle", () => {
  const { scale, x, y } = viewport(256, 256).transform(PANE);
  near(scale, 300 / 256);
  near(x, 100);
  near(y, 0);
  near(viewport(512, 256).transform(PANE).scale, 500 / 512);
});

test("zooming keeps what is under the pointer there, as long as the painting fills the pane", () => {
  const roll = dice(1);
  for (let round = 0; round < 200; round++) {
    const view = viewport(256, 256);
    view.zoomBy(PANE, 4);
    const at = { x: 150 + roll(200), y: 100 + roll(100) };
    const before = view.toContent(PANE, at);
    view.zoomBy(PANE, 1 + roll(20) / 10, at);
    const after = view.toContent(PANE, at);
    near(after.x, before.x);
    near(after.y, before.y);
  }
});

test("whatever is asked, the painting fills the pane or stands in its middle", () => {
  const roll = dice(2);
  for (const [width, height] of [
    [256, 256],
    [1024, 300],
    [300, 1024],
    [2000, 2000],
  ]) {
    const view = viewport(width, height);
    for (let step = 0; step < 300; step++) {
      if (step % 2) view.zoomBy(PANE, 0.5 + roll(20) / 10, { x: roll(500), y: roll(300) });
      else view.panBy(PANE, roll(2000) - 1000, roll(2000) - 1000);
      const { scale, x, y } = view.transform(PANE);
      assert.ok(scale <= LARGEST_PIXEL + 1e-9);
      for (const [from, extent, pane] of [
        [x, width * scale, PANE.width],
        [y, height * scale, PANE.height],
      ]) {
        if (extent <= pane + 1e-9) near(from, (pane - extent) / 2);
        else assert.ok(from <= 1e-6 && from + extent >= pane - 1e-6);
      }
    }
  }
});

test("a large painting can be seen pixel for pixel, a small one never smaller than that", () => {
  const large = viewport(2000, 2000);
  large.zoomTo(PANE, 1);
  near(large.transform(PANE).scale, 1);
  const small = viewport(100, 100);
  small.zoomBy(PANE, 1e-9);
  near(small.transform(PANE).scale, 1);
  small.fit();
  near(small.transform(PANE).scale, 3);
});

test("two fingers: what was under their middle follows it", () => {
  const view = viewport(256, 256);
  view.zoomBy(PANE, 4);
  const under = view.toContent(PANE, { x: 250, y: 150 });
  view.pinch(PANE, { x: 250, y: 150 }, { x: 270, y: 120 }, 1.3);
  const now = view.toContent(PANE, { x: 270, y: 120 });
  near(now.x, under.x);
  near(now.y, under.y);
});

test("panes of two sizes show the same place", () => {
  const view = viewport(256, 256);
  view.zoomBy(PANE, 5, { x: 300, y: 200 });
  const other = { width: 250, height: 150 };
  const middle = view.toContent(PANE, { x: 250, y: 150 });
  const same = view.toContent(other, { x: 125, y: 75 });
  near(middle.x, same.x);
  near(middle.y, same.y);
});

const NONE = { shift: false, alt: false, mod: false };

function hand() {
  const told = /** @type {string[]} */ ([]);
  const state = {
    tool: /** @type {import("../../static/js/tools/tool.js").ToolName} */ ("brush"),
    space: false,
    open: false,
  };
  const say = (/** @type {string} */ word) => () => void told.push(word);
  const pointers = new Pointers({
    tool: () => state.tool,
    panning: () => state.space,
    outlining: () => state.open,
    down: (tool) => void told.push(`down ${tool}`),
    up: say("up"),
    cancel: say("cancel"),
    pan: (dx, dy) => void told.push(`pan ${dx} ${dy}`),
    pinch: (from, to, factor) => void told.push(`pinch ${to.x - from.x} ${to.y - from.y} ${factor}`),
    undo: say("undo"),
    redo: say("redo"),
    penSeen: say("pen"),
  });
  let time = 0;
  const down = (/** @type {string} */ kind, /** @type {number} */ id, x = 0, y = 0, more = {}) =>
    pointers.down({ id, kind, x, y, time, button: 0, keys: NONE, ...more });
  const move = (/** @type {number} */ id, /** @type {number} */ x, /** @type {number} */ y) =>
    pointers.move(id, { x, y });
  const up = (/** @type {number} */ id, kept = true) => pointers.up(id, time, kept);
  const wait = (/** @type {number} */ by) => {
    time += by;
  };
  return { told, state, pointers, down, move, up, wait };
}

test("mouse: the first button paints, the middle one pans, and so does Space or the hand", () => {
  const { told, state, down, move, up } = hand();
  down("mouse", 1);
  assert.ok(move(1, 5, 5));
  up(1);
  down("mouse", 1, 0, 0, { button: 1 });
  assert.ok(!move(1, 5, 7));
  up(1);
  down("mouse", 1, 0, 0, { button: 2 });
  up(1);
  state.space = true;
  down("mouse", 1);
  move(1, 1, 1);
  up(1);
  state.space = false;
  state.tool = "hand";
  down("mouse", 1);
  move(1, 2, 2);
  up(1);
  assert.deepEqual(told, ["down brush", "up", "pan 5 7", "pan 1 1", "pan 2 2"]);
});

test("Alt picks, but not where Alt has a meaning of its own; a pen's other end erases", () => {
  const { told, state, down, up } = hand();
  const alt = { keys: { ...NONE, alt: true } };
  for (const tool of /** @type {const} */ (["brush", "fill", "select", "wand"])) {
    state.tool = tool;
    down("mouse", 1, 0, 0, alt);
    up(1);
  }
  state.tool = "polygon";
  state.open = true;
  down("mouse", 1, 0, 0, alt);
  up(1);
  down("pen", 2, 0, 0, { button: 5 });
  up(2);
  down("pen", 2, 0, 0, { button: 2 });
  up(2);
  assert.deepEqual(
    told.filter((word) => word.startsWith("down")),
    ["down pick", "down pick", "down select", "down wand", "down polygon", "down eraser", "down pick"],
  );
});

test("a second finger cancels the stroke of the first; both move and scale", () => {
  const { told, down, move, up, wait } = hand();
  down("touch", 1, 100, 100);
  assert.ok(move(1, 110, 100));
  down("touch", 2, 210, 100);
  assert.deepEqual(told, ["down brush", "cancel"]);
  move(2, 310, 100);
  assert.deepEqual(told.at(-1), "pinch 50 0 2");
  move(1, 110, 140);
  wait(500);
  up(2);
  assert.ok(!move(1, 150, 150), "the finger that is left does nothing");
  const so = told.length;
  up(1);
  assert.equal(told.length, so);
  down("touch", 3, 0, 0);
  assert.equal(told.at(-1), "down brush");
});

test("two fingers that tap: undo; three: redo; too long or too far: nothing", () => {
  for (const [fingers, time, way, expected] of /** @type {const} */ ([
    [2, 100, 3, "undo"],
    [3, 100, 3, "redo"],
    [2, 500, 3, "cancel"],
    [2, 100, 30, "pinch"],
    [4, 100, 0, "cancel"],
  ])) {
    const { told, down, move, up, wait } = hand();
    for (let id = 1; id <= fingers; id++) down("touch", id, 50 * id, 100);
    move(1, 50 + way, 100);
    wait(time);
    for (let id = 1; id <= fingers; id++) up(id);
    assert.ok(told.at(-1)?.startsWith(expected), `${fingers} fingers, ${time} ms, ${way} px: ${told}`);
    assert.equal(told[0], "down brush");
    assert.equal(told[1], "cancel");
  }
});

test("once a pen has been seen, fingers move the painting; while it paints, they do nothing", () => {
  const { told, pointers, down, move, up } = hand();
  pointers.notice("pen");
  pointers.notice("pen");
  assert.deepEqual(told, ["pen"]);
  down("touch", 1, 0, 0);
  move(1, 8, 9);
  up(1);
  assert.deepEqual(told, ["pen", "pan 8 9"]);
  down("pen", 5);
  down("touch", 6, 50, 50);
  down("touch", 7, 90, 90);
  move(6, 60, 60);
  assert.ok(move(5, 3, 3));
  up(6);
  up(7);
  up(5);
  assert.deepEqual(told.slice(2), ["down brush", "up"]);
  down("touch", 8, 0, 0);
  move(8, 1, 1);
  assert.equal(told.at(-1), "pan 1 1", "a palm that lifted is forgotten");
});

test("a pen takes over from a palm that pans", () => {
  const { told, pointers, down, move, up } = hand();
  pointers.notice("pen");
  down("touch", 1, 0, 0);
  down("pen", 2);
  assert.ok(move(2, 5, 5));
  move(1, 9, 9);
  up(1);
  up(2);
  assert.deepEqual(told, ["pen", "down brush", "up"]);
});

test("what the browser takes away is cancelled", () => {
  const { told, down, up } = hand();
  down("touch", 1);
  up(1, false);
  assert.deepEqual(told, ["down brush", "cancel"]);
  down("touch", 1);
  down("touch", 2);
  up(1, false);
  up(2, false);
  assert.deepEqual(told.slice(2), ["down brush", "cancel"], "no undo");
});
