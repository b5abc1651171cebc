import assert from "node:assert/strict";
import { test } from "node:test";
import { createMap } from "../../static/js/document/labelmap.js";
import { filled, smoothed } from "../../static/js/document/regions.js";
import { extent, inverted, lift, maskOfPiece, outline, placed } from "../../static/js/document/selection.js";
import { dice } from "./helpers.js";

const WIDTH = 23;
const HEIGHT = 17;

/** @param {number} kinds @param {(below: number) => number} roll */
function patchwork(kinds, roll) {
  const map = createMap(WIDTH, HEIGHT);
  for (let patch = 0; patch < 12; patch++) {
    const [x, y, across, down] = [roll(WIDTH), roll(HEIGHT), 1 + roll(8), 1 + roll(8)];
    const value = roll(kinds);
    for (let row = y; row < Math.min(HEIGHT, y + down); row++) {
      map.data.fill(value, row * WIDTH + x, row * WIDTH + Math.min(WIDTH, x + across));
    }
  }
  return map;
}

test("the border of a selection separates exactly what is in it from what is not", () => {
  const roll = dice(11);
  for (let round = 0; round < 60; round++) {
    const mask = patchwork(2, roll);
    const sides = new Set();
    const lines = outline(mask);
    for (let i = 0; i < lines.length; i += 4) {
      const [x0, y0, x1, y1] = lines.subarray(i, i + 4);
      assert.ok((x0 === x1) !== (y0 === y1));
      for (let x = x0; x < x1; x++) sides.add(`${x},${y0} across`);
      for (let y = y0; y < y1; y++) sides.add(`${x0},${y} down`);
    }
    const at = (/** @type {number} */ x, /** @type {number} */ y) =>
      x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT ? 0 : mask.data[y * WIDTH + x];
    for (let y = 0; y <= HEIGHT; y++) {
      for (let x = 0; x <= WIDTH; x++) {
        if (x < WIDTH)
          assert.equal(sides.has(`${x},${y} across`), at(x, y) !== at(x, y - 1), `round ${round}`);
        if (y < HEIGHT)
          assert.equal(sides.has(`${x},${y} down`), at(x, y) !== at(x - 1, y), `round ${round}`);
      }
    }
  }
});

test("extent and inversion", () => {
  const mask = createMap(WIDTH, HEIGHT);
  assert.equal(extent(mask), null);
  mask.data[3 * WIDTH + 5] = 1;
  mask.data[7 * WIDTH + 2] = 1;
  assert.deepEqual(extent(mask), { x: 2, y: 3, width: 4, height: 5 });
  assert.equal(inverted(mask, WIDTH, HEIGHT)?.data.filter(Boolean).length, WIDTH * HEIGHT - 2);
  assert.equal(inverted(inverted(null, WIDTH, HEIGHT), WIDTH, HEIGHT), null, "all, inverted, is nothing");
});

test("what is lifted and placed lies where it should, as much as is inside", () => {
  const roll = dice(12);
  for (let round = 0; round < 100; round++) {
    const map = patchwork(5, roll);
    const selection = patchwork(2, roll);
    const nothing = round % 2 ? 3 : -1;
    const [dx, dy] = [roll(40) - 20, roll(40) - 20];
    const piece = lift(map, selection, nothing);
    const there = piece && placed(piece, dx, dy, WIDTH, HEIGHT);
    const mask = maskOfPiece(there, WIDTH, HEIGHT);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const [fromX, fromY] = [x - dx, y - dy];
        const from = fromY * WIDTH + fromX;
        const inside = fromX >= 0 && fromY >= 0 && fromX < WIDTH && fromY < HEIGHT;
        const expected = inside && selection.data[from] === 1 && map.data[from] !== nothing;
        assert.equal(mask?.data[y * WIDTH + x] ?? 0, Number(expected));
        if (!expected || !there) continue;
        const at = (y - there.rect.y) * there.rect.width + x - there.rect.x;
        assert.equal(there.values[at], map.data[from]);
      }
    }
  }
});

test("the majority filter is what brute force finds", () => {
  const roll = dice(13);
  for (let round = 0; round < 60; round++) {
    const map = patchwork(4, roll);
    const selection = round % 3 ? null : patchwork(2, roll);
    const radius = 1 + (round % 3);
    const out = smoothed(map, selection, radius);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const own = map.data[y * WIDTH + x];
        const counts = new Array(8).fill(0);
        for (let row = Math.max(0, y - radius); row <= Math.min(HEIGHT - 1, y + radius); row++) {
          for (let column = Math.max(0, x - radius); column <= Math.min(WIDTH - 1, x + radius); column++) {
            counts[map.data[row * WIDTH + column]]++;
          }
        }
        const most = Math.max(...counts);
        const winner = counts[own] === most ? own : counts.indexOf(most);
        const expected = selection && !selection.data[y * WIDTH + x] ? own : winner;
        assert.equal(out[y * WIDTH + x], expected, `round ${round} at ${x}, ${y}`);
      }
    }
  }
});

test("holes are filled: enclosed by one value, not at the edge, not too large, wholly in the selection", () => {
  const rows = [
    "..............",
    ".aaaaaaa..bbb.",
    ".a.aa.ca..b.b.",
    ".a.aaaaa..bcb.",
    ".aaaaaaa..bbb.",
    "....aaaaaaaaaa",
    "....a....a....",
    "....aaaaaa....",
  ];
  const [width, height] = [rows[0].length, rows.length];
  const map = { width, height, data: Uint8Array.from(rows.join(""), (sign) => ".abc".indexOf(sign)) };
  /** @param {import("../../static/js/document/labelmap.js").LabelMap | null} selection @param {number} largest */
  const lines = (selection, largest) => {
    const out = filled(map, selection, largest);
    return rows.map((_, y) =>
      Array.from(out.subarray(y * width, (y + 1) * width), (id) => ".abc"[id]).join(""),
    );
  };
  assert.deepEqual(lines(null, 100), [
    "..............",
    ".aaaaaaa..bbb.",
    ".aaaa.ca..b.b.",
    ".aaaaaaa..bcb.",
    ".aaaaaaa..bbb.",
    "....aaaaaaaaaa",
    "....aaaaaa....",
    "....aaaaaa....",
  ]);
  assert.equal(lines(null, 3)[6], rows[6], "four pixels are too many");
  const selection = createMap(width, height);
  for (let y = 0; y < 5; y++) selection.data.fill(1, y * width, y * width + 4);
  const some = lines(selection, 100);
  assert.deepEqual([some[2], some[6]], [".aaaa.ca..b.b.", rows[6]], "only the one that is selected");
});

test("holes are what brute force finds", () => {
  const roll = dice(14);
  for (let round = 0; round < 80; round++) {
    const map = patchwork(3, roll);
    const { data } = map;
    const out = filled(map, null, 20);
    const done = new Set();
    for (const start of data.keys()) {
      if (done.has(start)) continue;
      const patch = new Set([start]);
      const around = new Set();
      for (const at of patch) {
        const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
        if (x === 0 || y === 0 || x === WIDTH - 1 || y === HEIGHT - 1) around.add(-1);
        for (const [nx, ny] of [
          [x - 1, y],
          [x + 1, y],
          [x, y - 1],
          [x, y + 1],
        ]) {
          if (nx < 0 || ny < 0 || nx >= WIDTH || ny >= HEIGHT) continue;
          if (data[ny * WIDTH + nx] === data[at]) patch.add(ny * WIDTH + nx);
          else around.add(data[ny * WIDTH + nx]);
        }
      }
      const [value] = around;
      const hole = around.size === 1 && value >= 0 && patch.size <= 20;
      for (const at of patch) {
        done.add(at);
        assert.equal(out[at], hole ? value : data[at], `round ${round}`);
      }
    }
  }
});
