import assert from "node:assert/strict";
import { test } from "node:test";
import { createMap } from "../../static/js/document/labelmap.js";
import {
  allOf,
  capsule,
  ellipse,
  flood,
  polygon,
  rectangle,
  taper,
} from "../../static/js/document/raster.js";
import { dice } from "./helpers.js";

/** @typedef {import("../../static/js/document/raster.js").Span} Span */

const WIDTH = 40;
const HEIGHT = 30;

/** @param {(span: Span) => void} draw @returns {Set<number>} the pixels drawn */
function drawn(draw) {
  const pixels = new Set();
  draw((y, x0, x1) => {
    assert.ok(Number.isInteger(y) && y >= 0 && y < HEIGHT, `row ${y}`);
    assert.ok(Number.isInteger(x0) && Number.isInteger(x1), `columns ${x0}…${x1}`);
    assert.ok(x0 >= 0 && x0 < x1 && x1 <= WIDTH, `columns ${x0}…${x1}`);
    for (let x = x0; x < x1; x++) pixels.add(y * WIDTH + x);
  });
  return pixels;
}

/** @param {number} px @param {number} py @param {{x: number, y: number}} a @param {{x: number, y: number}} b */
function distance(px, py, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const square = dx * dx + dy * dy;
  const t = square ? Math.max(0, Math.min(1, ((px - a.x) * dx + (py - a.y) * dy) / square)) : 0;
  return Math.hypot(px - a.x - t * dx, py - a.y - t * dy);
}

/** @param {Set<number>} pixels @param {8 | 4} neighbours @returns {number} connected parts */
function parts(pixels, neighbours) {
  const left = new Set(pixels);
  let count = 0;
  for (const first of left) {
    count++;
    const stack = [first];
    while (stack.length > 0) {
      const at = /** @type {number} */ (stack.pop());
      if (!left.delete(at)) continue;
      const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          if (neighbours === 4 && dx && dy) continue;
          if (x + dx >= 0 && x + dx < WIDTH) stack.push((y + dy) * WIDTH + x + dx);
        }
      }
    }
  }
  return count;
}

test("a capsule is exactly the pixels whose centre is near enough, and its ends", () => {
  const roll = dice(1);
  for (let round = 0; round < 400; round++) {
    const point = () => ({ x: roll(700) / 10 - 15, y: roll(600) / 10 - 15 });
    const a = point();
    const b = round % 5 === 0 ? a : point();
    const diameter = 1 + roll(180) / 10;
    const pixels = drawn((span) => capsule(a, b, diameter, WIDTH, HEIGHT, span));
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const away = distance(x + 0.5, y + 0.5, a, b) - diameter / 2;
        if (Math.abs(away) < 1e-9) continue;
        const end = [a, b].some((p) => Math.floor(p.x) === x && Math.floor(p.y) === y);
        assert.equal(pixels.has(y * WIDTH + x), away < 0 || end, `round ${round} at ${x}, ${y}`);
      }
    }
  }
});

test("a stroke is continuous however far apart the pointer's points are", () => {
  const roll = dice(2);
  for (let round = 0; round < 200; round++) {
    const diameter = 1 + roll(4);
    const pixels = new Set();
    let last = { x: roll(WIDTH), y: roll(HEIGHT) };
    for (let i = 0; i < 6; i++) {
      const next = { x: roll(WIDTH * 10) / 10, y: roll(HEIGHT * 10) / 10 };
      for (const pixel of drawn((span) => capsule(last, next, diameter, WIDTH, HEIGHT, span)))
        pixels.add(pixel);
      last = next;
    }
    assert.equal(parts(pixels, 8), 1, `round ${round}, diameter ${diameter}`);
  }
});

test("the smallest dab marks the pixel it is on, wherever in the pixel it is", () => {
  for (const [x, y] of [
    [5, 7],
    [5.01, 7.99],
    [5.5, 7.5],
    [5.999, 7.001],
  ]) {
    const pixels = drawn((span) => capsule({ x, y }, { x, y }, 1, WIDTH, HEIGHT, span));
    assert.ok(pixels.has(7 * WIDTH + 5), `${x}, ${y}`);
  }
});

test("what lies far outside costs nothing and draws nothing", () => {
  const far = { x: 1e7, y: -1e7 };
  assert.equal(drawn((span) => capsule(far, { x: 1e7, y: 1e7 }, 50, WIDTH, HEIGHT, span)).size, 0);
  assert.ok(drawn((span) => capsule(far, { x: 5, y: 5 }, 3, WIDTH, HEIGHT, span)).size > 0);
});

test("polygons follow the even-odd rule at pixel centres", () => {
  const roll = dice(3);
  for (let round = 0; round < 150; round++) {
    const corners = Array.from({ length: 3 + roll(6) }, () => ({
      x: roll(600) * 0.0987654321 - 10,
      y: roll(500) * 0.0987654321 - 10,
    }));
    const pixels = drawn((span) => polygon(corners, WIDTH, HEIGHT, span));
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        let inside = false;
        for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
          const [a, b] = [corners[i], corners[j]];
          const crosses = a.y > y + 0.5 !== b.y > y + 0.5;
          if (crosses && x + 0.5 < ((b.x - a.x) * (y + 0.5 - a.y)) / (b.y - a.y) + a.x) inside = !inside;
        }
        assert.equal(pixels.has(y * WIDTH + x), inside, `round ${round} at ${x}, ${y}`);
      }
    }
  }
});

test("flood fill finds what brute force finds, and each pixel once", () => {
  const roll = dice(4);
  for (let round = 0; round < 120; round++) {
    const map = createMap(WIDTH, HEIGHT);
    const kinds = 2 + (round % 3);
    for (let i = 0; i < map.data.length; i++) map.data[i] = roll(kinds);
    const [x, y] = [roll(WIDTH), roll(HEIGHT)];
    const before = map.data.slice();
    let count = 0;
    const pixels = drawn((span) =>
      flood(map, x, y, (row, x0, x1) => {
        count += x1 - x0;
        map.data.fill(99, row * WIDTH + x0, row * WIDTH + x1);
        span(row, x0, x1);
      }),
    );
    const expected = new Set();
    const stack = [[x, y]];
    while (stack.length > 0) {
      const [cx, cy] = /** @type {number[]} */ (stack.pop());
      const at = cy * WIDTH + cx;
      if (cx < 0 || cy < 0 || cx >= WIDTH || cy >= HEIGHT || expected.has(at)) continue;
      if (before[at] !== before[y * WIDTH + x]) continue;
      expected.add(at);
      stack.push([cx + 1, cy], [cx - 1, cy], [cx, cy + 1], [cx, cy - 1]);
    }
    assert.deepEqual(pixels, expected, `round ${round}`);
    assert.equal(count, expected.size);
  }
});

test("flood fill outside the map does nothing", () => {
  const map = createMap(WIDTH, HEIGHT);
  for (const [x, y] of [
    [-1, 0],
    [0, -1],
    [WIDTH, 0],
    [0, HEIGHT],
  ]) {
    assert.equal(drawn((span) => flood(map, x, y, span)).size, 0);
  }
});

test("a brush that grows on its way covers the hull of the discs at both ends", () => {
  const roll = dice(5);
  for (let round = 0; round < 300; round++) {
    const point = () => ({ x: roll(500) / 10 - 5, y: roll(400) / 10 - 5 });
    const [a, b] = [point(), point()];
    const [atA, atB] = [1 + roll(150) / 10, 1 + roll(150) / 10];
    const pixels = drawn((span) => taper(a, atA, b, atB, WIDTH, HEIGHT, span));
    // The hull is what the discs sweep while their radius changes evenly.
    const steps = 400;
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        let away = Number.POSITIVE_INFINITY;
        for (let i = 0; i <= steps; i++) {
          const part = i / steps;
          const centre = Math.hypot(x + 0.5 - a.x - (b.x - a.x) * part, y + 0.5 - a.y - (b.y - a.y) * part);
          away = Math.min(away, centre - (atA + (atB - atA) * part) / 2);
        }
        if (Math.abs(away) < 1e-3) continue;
        const end = [a, b].some((p) => Math.floor(p.x) === x && Math.floor(p.y) === y);
        assert.equal(pixels.has(y * WIDTH + x), away < 0 || end, `round ${round} at ${x}, ${y}`);
      }
    }
  }
});

test("rectangles and ellipses are clipped to the map, and the smallest is one pixel", () => {
  const roll = dice(6);
  for (let round = 0; round < 200; round++) {
    const rect = { x: roll(60) - 10, y: roll(50) - 10, width: 1 + roll(30), height: 1 + roll(30) };
    const inside = (/** @type {number} */ x, /** @type {number} */ y) =>
      x >= rect.x && x < rect.x + rect.width && y >= rect.y && y < rect.y + rect.height;
    const flat = drawn((span) => rectangle(rect, WIDTH, HEIGHT, span));
    const round_ = drawn((span) => ellipse(rect, WIDTH, HEIGHT, span));
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        assert.equal(flat.has(y * WIDTH + x), inside(x, y));
        const [dx, dy] = [x + 0.5 - rect.x - rect.width / 2, y + 0.5 - rect.y - rect.height / 2];
        const far = ((2 * dx) / rect.width) ** 2 + ((2 * dy) / rect.height) ** 2;
        if (Math.abs(far - 1) > 1e-9)
          assert.equal(round_.has(y * WIDTH + x), far < 1, `round ${round} at ${x}, ${y}`);
      }
    }
  }
  assert.deepEqual(
    drawn((span) => ellipse({ x: 3, y: 4, width: 1, height: 1 }, WIDTH, HEIGHT, span)),
    new Set([4 * WIDTH + 3]),
  );
});

test("by the nonzero rule a polygon that winds around twice has no hole", () => {
  const star = [0, 2, 4, 1, 3].map((k) => ({
    x: 20 + 13 * Math.sin((k * 2 * Math.PI) / 5),
    y: 15 - 13 * Math.cos((k * 2 * Math.PI) / 5),
  }));
  const evenOdd = drawn((span) => polygon(star, WIDTH, HEIGHT, span));
  const nonzero = drawn((span) => polygon(star, WIDTH, HEIGHT, span, "nonzero"));
  assert.ok(!evenOdd.has(15 * WIDTH + 20));
  assert.ok(nonzero.has(15 * WIDTH + 20));
  assert.ok([...evenOdd].every((pixel) => nonzero.has(pixel)));
});

test("an outline of very many points is no trouble", () => {
  const points = Array.from({ length: 200_000 }, (_, i) => ({
    x: 20 + 10 * Math.cos((i / 200_000) * 2 * Math.PI),
    y: 15 + 10 * Math.sin((i / 200_000) * 2 * Math.PI),
  }));
  const disc = drawn((span) => capsule({ x: 20, y: 15 }, { x: 20, y: 15 }, 20, WIDTH, HEIGHT, span));
  assert.deepEqual(
    drawn((span) => polygon(points, WIDTH, HEIGHT, span)),
    disc,
  );
});

test("everywhere finds every pixel of the label, and each once, though it is written on the way", () => {
  const roll = dice(7);
  const map = createMap(WIDTH, HEIGHT);
  for (let i = 0; i < map.data.length; i++) map.data[i] = roll(3);
  const before = map.data.slice();
  let count = 0;
  const pixels = drawn((span) =>
    allOf(map, 5, 5, (y, x0, x1) => {
      count += x1 - x0;
      map.data.fill(2, y * WIDTH + x0, y * WIDTH + x1);
      span(y, x0, x1);
    }),
  );
  const expected = new Set([...before.keys()].filter((i) => before[i] === before[5 * WIDTH + 5]));
  assert.deepEqual(pixels, expected);
  assert.equal(count, expected.size);
});
