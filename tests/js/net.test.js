import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Dirty, MOST_RECTS } from "../../static/js/net/dirty.js";
import { Latency } from "../../static/js/net/latency.js";
import { Mailbox } from "../../static/js/net/mailbox.js";
import { MAX_BUFFERED, Outbox } from "../../static/js/net/outbox.js";
import { CLOSE, decodeFrame, encodeCells, encodeRuns, SUBPROTOCOL } from "../../static/js/net/protocol.js";
import { dice } from "./helpers.js";

const vectors = JSON.parse(readFileSync(new URL("../data/protocol.json", import.meta.url), "utf8"));

const toHex = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString("hex");
const fromHex = (/** @type {string} */ hex) => new Uint8Array(Buffer.from(hex, "hex")).buffer;
const idsOf = (/** @type {number[] | {repeat: number, count: number}} */ ids) =>
  Array.isArray(ids) ? Uint8Array.from(ids) : new Uint8Array(ids.count).fill(ids.repeat);

test("the name and the close codes of the protocol", () => {
  assert.equal(SUBPROTOCOL, vectors.subprotocol);
  assert.deepEqual(CLOSE, vectors.closeCodes);
});

for (const vector of vectors.labels.filter((/** @type {any} */ { shortest }) => shortest)) {
  test(`labels: ${vector.name}`, () => {
    const { kind, epoch, revision, x, y, width, height, more, ids, hex } = vector;
    const rect = { x, y, width, height };
    assert.equal(toHex(encodeCells({ kind, epoch, revision, rect, more }, idsOf(ids))), hex);
  });
}

for (const vector of vectors.frames) {
  test(`frame: ${vector.name}`, () => {
    const { picture, ...frame } = decodeFrame(fromHex(vector.hex));
    assert.equal(toHex(picture), vector.picture);
    assert.deepEqual(frame, {
      format: vector.format,
      exact: vector.exact,
      newest: vector.newest,
      epoch: vector.epoch,
      revision: vector.revision,
      number: vector.frame,
      width: vector.width,
      height: vector.height,
      waitMicros: vector.waited_us,
      renderMicros: vector.render_us,
      labelSet: vector.label_set,
    });
  });
}

for (const { name, hex } of vectors.framesBad) {
  test(`no frame: ${name}`, () => assert.throws(() => decodeFrame(fromHex(hex)), RangeError));
}

test("runs say what the labels say, and are never longer", () => {
  const roll = dice(13);
  for (let round = 0; round < 200; round++) {
    const labels = new Uint8Array(1 + roll(5000));
    for (let at = 0; at < labels.length; ) {
      const length = 1 + roll(round % 2 ? 400 : 4);
      labels.fill(roll(20), at, at + length);
      at += length;
    }
    const runs = encodeRuns(labels);
    if (!runs) continue;
    assert.ok(runs.length < labels.length);
    const out = [];
    for (let i = 0; i < runs.length; i += 3) {
      for (let n = runs[i + 1] | (runs[i + 2] << 8); n > 0; n--) out.push(runs[i]);
    }
    assert.deepEqual(Uint8Array.from(out), labels);
  }
});

const rect = (/** @type {number} */ x, y = x, width = 1, height = width) => ({ x, y, width, height });

const none = () => false;
const some = () => true;
/** What the parcels hold, without their numbers. @param {any[]} parcels */
const whats = (parcels) => parcels.map(({ what }) => what);

test("outbox: a whole map first, then what changed, with one revision after another", () => {
  const outbox = new Outbox();
  assert.equal(outbox.open(1), 1);
  assert.deepEqual(outbox.take(0, none), [], "not before the server is ready");
  outbox.mark(rect(5), 2);
  outbox.ready(1);
  assert.deepEqual(outbox.take(0, none), [{ what: "whole", epoch: 1, revision: 1, since: 1, more: false }]);
  assert.deepEqual(outbox.take(0, none), []);
  outbox.mark(rect(10), 3);
  outbox.mark(rect(20, 5, 4), 4);
  assert.deepEqual(outbox.take(0, none), [
    {
      what: "patch",
      epoch: 1,
      revision: 2,
      since: 3,
      more: false,
      rect: { x: 10, y: 5, width: 14, height: 6 },
    },
  ]);
  outbox.markLight(5);
  outbox.mark(rect(1), 6);
  assert.deepEqual(outbox.take(0, none), [
    { what: "light", epoch: 1, revision: 3, since: 5, more: true },
    { what: "patch", epoch: 1, revision: 4, since: 5, more: false, rect: rect(1) },
  ]);
  assert.equal(outbox.pending, false);
});

test("outbox: a whole plane of styles follows the whole map, where there are any", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  assert.deepEqual(outbox.take(0, some), [
    { what: "whole", epoch: 1, revision: 1, since: 0, more: true },
    { what: "whole styles", epoch: 1, revision: 2, since: 0, more: false },
  ]);
  outbox.resync(1);
  assert.deepEqual(whats(outbox.take(0, some)), ["whole", "light", "whole styles"]);
  outbox.resync(1);
  assert.deepEqual(whats(outbox.take(0, none)), ["whole", "light"]);
});

test("outbox: labels and styles are dirty each for itself, and the light comes before the styles", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.take(0, none);
  outbox.markStyles(rect(3), 1);
  assert.deepEqual(outbox.take(0, some), [
    { what: "style patch", epoch: 1, revision: 2, since: 1, more: false, rect: rect(3) },
  ]);
  outbox.markStyles(rect(7), 2);
  outbox.mark(rect(500), 3);
  outbox.markLight(4);
  const parcels = outbox.take(0, some);
  assert.deepEqual(whats(parcels), ["light", "patch", "style patch"]);
  assert.deepEqual(
    parcels.map(({ revision, more }) => [revision, more]),
    [
      [3, true],
      [4, true],
      [5, false],
    ],
  );
  assert.deepEqual(
    parcels.map((parcel) => ("rect" in parcel ? parcel.rect : null)),
    [null, rect(500), rect(7)],
  );
});

test("outbox: two dabs far apart are two patches of one batch", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.take(0, none);
  outbox.mark(rect(0, 0, 40), 1);
  outbox.mark(rect(980, 980, 40), 1);
  const parcels = outbox.take(0, none);
  assert.deepEqual(
    parcels.map((parcel) => "rect" in parcel && [parcel.rect.x, parcel.more]),
    [
      [0, true],
      [980, false],
    ],
  );
});

test("outbox: a gap is answered by the whole map and the light", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.take(0, none);
  outbox.mark(rect(3), 1);
  outbox.resync(99);
  assert.deepEqual(whats(outbox.take(0, none)), ["patch"], "a resync of another epoch is ignored");
  outbox.mark(rect(3), 2);
  outbox.markStyles(rect(3), 2);
  outbox.resync(1);
  assert.deepEqual(outbox.take(0, none), [
    { what: "whole", epoch: 1, revision: 3, since: 2, more: true },
    { what: "light", epoch: 1, revision: 4, since: 2, more: false },
  ]);
  assert.deepEqual(outbox.take(0, none), []);
});

test("outbox: nothing is sent while the line is down or full, and nothing is lost", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.take(0, none);
  outbox.mark(rect(3), 1);
  assert.deepEqual(outbox.take(MAX_BUFFERED + 1, none), []);
  outbox.mark(rect(8), 2);
  const [parcel] = outbox.take(0, none);
  assert.deepEqual(parcel.what === "patch" && parcel.rect, { x: 3, y: 3, width: 6, height: 6 });
  outbox.shut();
  outbox.mark(rect(1), 3);
  outbox.markStyles(rect(1), 3);
  outbox.markLight(3);
  assert.deepEqual(outbox.take(0, none), []);
  const epoch = outbox.open(4);
  assert.equal(epoch, 2);
  outbox.ready(1);
  assert.deepEqual(outbox.take(0, none), [], "an old ready opens nothing");
  outbox.ready(epoch);
  assert.deepEqual(whats(outbox.take(0, some)), ["whole", "whole styles"]);
  assert.deepEqual(outbox.take(0, some), [], "they cover what was missed, the new open says the light");
});

const areaOf = (/** @type {{width: number, height: number}[]} */ rects) =>
  rects.reduce((sum, { width, height }) => sum + width * height, 0);

test("dirty: overlapping dabs are one rectangle, dabs far apart are not", () => {
  const dirty = new Dirty();
  for (let i = 0; i < 20; i++) dirty.add(rect(100 + 3 * i, 100, 40));
  assert.deepEqual(dirty.take(), [{ x: 100, y: 100, width: 97, height: 40 }]);
  assert.equal(dirty.empty, true);
  dirty.add(rect(0, 0, 40));
  dirty.add(rect(900, 900, 40));
  dirty.add(rect(10, 10, 40));
  assert.equal(areaOf(dirty.take()), 50 * 50 + 40 * 40);
});

test("dirty: small marks side by side are not worth a message each", () => {
  const dirty = new Dirty();
  dirty.add(rect(0));
  dirty.add(rect(20));
  assert.deepEqual(dirty.take(), [rect(0, 0, 21)]);
});

test("dirty: a symmetric stroke of many dabs stays near its own pixels", () => {
  const dirty = new Dirty();
  for (let i = 0; i < 30; i++) {
    dirty.add(rect(100 + 2 * i, 50, 60));
    dirty.add(rect(1024 - 160 - 2 * i, 50, 60));
  }
  assert.equal(areaOf(dirty.take()), 2 * 118 * 60);
});

test("dirty: whatever is marked is covered, by few rectangles, and by one only where that wastes little", () => {
  const roll = dice(7);
  for (let round = 0; round < 300; round++) {
    const dirty = new Dirty();
    const marked = Array.from({ length: 1 + roll(12) }, () =>
      rect(roll(900), roll(900), 1 + roll(120), 1 + roll(120)),
    );
    for (const one of marked) dirty.add(one);
    const rects = dirty.take();
    assert.ok(rects.length >= 1 && rects.length <= MOST_RECTS);
    for (const { x, y, width, height } of marked) {
      assert.ok(
        rects.some(
          (all) =>
            all.x <= x && all.y <= y && all.x + all.width >= x + width && all.y + all.height >= y + height,
        ),
      );
    }
    const around = rect(
      Math.min(...marked.map(({ x }) => x)),
      Math.min(...marked.map(({ y }) => y)),
      Math.max(...marked.map(({ x, width }) => x + width)) - Math.min(...marked.map(({ x }) => x)),
      Math.max(...marked.map(({ y, height }) => y + height)) - Math.min(...marked.map(({ y }) => y)),
    );
    // Rectangles may overlap, but never so that one around everything had been less.
    assert.ok(rects.length === 1 || areaOf(rects) < 1.5 * areaOf([around]));
    if (marked.length <= MOST_RECTS) assert.ok(areaOf(rects) <= 2 * areaOf(marked) + 4 * 1024);
  }
});

test("mailbox: one in work, one waiting, the latest wins", () => {
  const mailbox = new Mailbox();
  assert.equal(mailbox.put("a"), "a");
  assert.equal(mailbox.put("b"), null);
  assert.equal(mailbox.put("c"), null);
  assert.equal(mailbox.skipped, 1);
  assert.equal(mailbox.done(), "c");
  assert.equal(mailbox.done(), null);
  assert.equal(mailbox.put("d"), "d");
});

test("latency: measured from the newest change in the picture, and only when it shows one", () => {
  const latency = new Latency();
  latency.track(1, 100);
  latency.track(2, 140);
  latency.track(3, 190);
  assert.equal(latency.shown(2, 200), 60);
  assert.equal(latency.shown(2, 210), null);
  assert.equal(latency.shown(5, 250), 60);
  latency.track(6, 300);
  latency.reset();
  assert.equal(latency.shown(6, 400), null);
});
