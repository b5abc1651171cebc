import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Latency } from "../../static/js/net/latency.js";
import { Mailbox } from "../../static/js/net/mailbox.js";
import { MAX_BUFFERED, Outbox } from "../../static/js/net/outbox.js";
import { CLOSE, decodeFrame, encodeLabels, encodeRuns, SUBPROTOCOL } from "../../static/js/net/protocol.js";
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
    const { kind, epoch, revision, x, y, width, height, ids, hex } = vector;
    assert.equal(
      toHex(encodeLabels({ kind, epoch, revision, rect: { x, y, width, height } }, idsOf(ids))),
      hex,
    );
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

test("outbox: a whole map first, then merged patches with one revision after another", () => {
  const outbox = new Outbox();
  assert.equal(outbox.open(1), 1);
  assert.equal(outbox.next(0), null, "not before the server is ready");
  outbox.mark(rect(5), 2);
  outbox.ready(1);
  assert.deepEqual(outbox.next(0), { what: "whole", epoch: 1, revision: 1, since: 1 });
  assert.equal(outbox.next(0), null);
  outbox.mark(rect(10), 3);
  outbox.mark(rect(20, 5, 4), 4);
  assert.deepEqual(outbox.next(0), {
    what: "patch",
    epoch: 1,
    revision: 2,
    since: 3,
    rect: { x: 10, y: 5, width: 14, height: 6 },
  });
  outbox.markStyle(5);
  outbox.mark(rect(1), 6);
  assert.equal(outbox.next(0)?.what, "style");
  assert.deepEqual(outbox.next(0), { what: "patch", epoch: 1, revision: 4, since: 5, rect: rect(1) });
  assert.equal(outbox.pending, false);
});

test("outbox: a gap is answered by the whole map and the light", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.next(0);
  outbox.mark(rect(3), 1);
  outbox.resync(99);
  assert.equal(outbox.next(0)?.what, "patch", "a resync of another epoch is ignored");
  outbox.mark(rect(3), 2);
  outbox.resync(1);
  assert.deepEqual(outbox.next(0), { what: "whole", epoch: 1, revision: 3, since: 2 });
  assert.equal(outbox.next(0)?.what, "style");
  assert.equal(outbox.next(0), null);
});

test("outbox: nothing is sent while the line is down or full, and nothing is lost", () => {
  const outbox = new Outbox();
  outbox.ready(outbox.open(0));
  outbox.next(0);
  outbox.mark(rect(3), 1);
  assert.equal(outbox.next(MAX_BUFFERED + 1), null);
  outbox.mark(rect(8), 2);
  const parcel = outbox.next(0);
  assert.deepEqual(parcel?.what === "patch" && parcel.rect, { x: 3, y: 3, width: 6, height: 6 });
  outbox.shut();
  outbox.mark(rect(1), 3);
  outbox.markStyle(3);
  assert.equal(outbox.next(0), null);
  const epoch = outbox.open(4);
  assert.equal(epoch, 2);
  outbox.ready(1);
  assert.equal(outbox.next(0), null, "an old ready opens nothing");
  outbox.ready(epoch);
  assert.equal(outbox.next(0)?.what, "whole");
  assert.equal(outbox.next(0), null, "the whole map covers what was missed, the new open says the light");
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
