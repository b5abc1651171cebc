import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Live } from "../../static/js/net/live.js";
import { notBefore, retryDelay } from "../../static/js/net/patience.js";
import { CLOSE, SUBPROTOCOL } from "../../static/js/net/protocol.js";

/** What the page uses of a WebSocket, worked by hand. */
class Line {
  constructor() {
    this.readyState = 0;
    this.protocol = SUBPROTOCOL;
    this.bufferedAmount = 0;
    this.binaryType = "";
    /** @type {any[]} */
    this.sent = [];
    /** @type {(() => void) | null} */
    this.onopen = null;
    /** @type {((event: {data: any}) => void) | null} */
    this.onmessage = null;
    /** @type {((event: {code: number}) => void) | null} */
    this.onclose = null;
  }

  /** @param {any} data */
  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }

  close() {
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  /** @param {object | ArrayBuffer} data */
  hear(data) {
    this.onmessage?.({ data: data instanceof ArrayBuffer ? data : JSON.stringify(data) });
  }

  /** @param {number} code */
  drop(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  take() {
    return this.sent.splice(0);
  }
}

/** @param {{epoch: number, revision: number, number: number, exact?: boolean}} head */
function frame({ epoch, revision, number, exact = true }) {
  const view = new DataView(new ArrayBuffer(33));
  view.setUint8(0, 16);
  view.setUint8(1, 1);
  view.setUint8(2, exact ? 3 : 2);
  view.setUint32(4, epoch, true);
  view.setUint32(8, revision, true);
  view.setUint32(12, number, true);
  return view.buffer;
}

function house() {
  /** @type {Line[]} */
  const lines = [];
  const told = {
    phases: /** @type {string[]} */ ([]),
    frames: /** @type {any[]} */ ([]),
    refusals: /** @type {any[]} */ ([]),
    loads: /** @type {any[]} */ ([]),
  };
  const clock = { time: 0, due: /** @type {(() => void)[]} */ ([]) };
  const live = new Live({
    url: "ws://here/live",
    openSocket: (_url, protocol) => {
      assert.equal(protocol, SUBPROTOCOL);
      lines.push(new Line());
      return /** @type {any} */ (lines.at(-1));
    },
    now: () => clock.time,
    random: () => 0.5,
    schedule: (task) => () => void clock.due.push(task),
    onLine: ({ phase }) => told.phases.push(phase),
    onFrame: (shown) => told.frames.push(shown),
    onRefusal: (refusal) => told.refusals.push(refusal),
    onLoad: (load) => told.loads.push(load),
  });
  const source = {
    width: 8,
    height: 4,
    model: "m",
    labelSet: "abcd",
    seed: () => 5,
    style: () => /** @type {number[] | null} */ (null),
    regions: () => /** @type {number[][]} */ ([]),
    numbering: () => "",
    readStyles: (/** @type {{width: number, height: number}} */ rect) =>
      new Uint8Array(rect.width * rect.height).fill(1),
    hasStyles: () => false,
    read: (/** @type {{width: number, height: number}} */ rect) =>
      Uint8Array.from({ length: rect.width * rect.height }, (_, i) => i),
  };
  return {
    live,
    source,
    told,
    clock,
    get line() {
      return /** @type {Line} */ (lines.at(-1));
    },
    lines,
    tick() {
      for (const task of clock.due.splice(0)) task();
    },
    ready() {
      live.open(source);
      this.line.open();
      const [open] = this.line.take();
      this.line.hear({ type: "ready", epoch: open.epoch });
      return open.epoch;
    },
  };
}

const RECT = { x: 1, y: 1, width: 2, height: 1 };
const kindOf = (/** @type {any} */ message) => (message instanceof Uint8Array ? message[0] : message.type);

test("open, ready, whole map, then one patch per frame; pictures are acknowledged", () => {
  const { live, source, told, clock, lines, tick } = house();
  live.open(source);
  const line = lines[0];
  line.open();
  assert.deepEqual(line.take(), [
    {
      type: "open",
      epoch: 1,
      width: 8,
      height: 4,
      model: "m",
      label_set: "abcd",
      seed: 5,
      style: null,
      regions: [],
      format: "jpeg",
      quality: "live",
    },
  ]);
  live.mark(RECT);
  tick();
  assert.deepEqual(line.take(), [], "nothing before the server is ready");
  line.hear({ type: "ready", epoch: 1 });
  assert.deepEqual(line.take().map(kindOf), [2]);
  assert.equal(live.settled, false);
  clock.time = 100;
  live.mark(RECT);
  live.mark({ ...RECT, x: 4 });
  assert.deepEqual(line.take(), [], "changes wait for the animation frame");
  tick();
  const [patch] = line.take();
  assert.deepEqual([...patch.slice(12, 20)], [1, 0, 1, 0, 5, 0, 1, 0], "one merged rectangle");
  clock.time = 160;
  line.hear(frame({ epoch: 1, revision: 2, number: 7 }));
  assert.equal(told.frames.length, 1);
  assert.equal(live.shown(told.frames[0]), 60);
  assert.deepEqual(line.take(), [{ type: "ack", epoch: 1, frame: 7 }]);
  assert.equal(live.settled, true);
  assert.deepEqual(told.phases, ["connecting", "ready"]);
});

test("pictures of an earlier epoch are neither shown nor acknowledged", () => {
  const place = house();
  place.ready();
  place.line.take();
  place.live.open(place.source);
  const [open] = place.line.take();
  assert.equal(open.epoch, 2);
  place.line.hear(frame({ epoch: 1, revision: 1, number: 1 }));
  assert.equal(place.told.frames.length, 0);
  place.line.hear({ type: "ready", epoch: 1 });
  assert.deepEqual(place.line.take(), [], "an old ready opens nothing");
});

test("a resync is answered by the whole map and the light", () => {
  const place = house();
  const epoch = place.ready();
  place.line.take();
  place.line.hear({ type: "resync", epoch, expected: 2, got: 3, reason: "" });
  assert.deepEqual(place.line.take().map(kindOf), [2, "style"]);
});

test("a style is sent with the document and whenever it changes", () => {
  const place = house();
  /** @type {number[] | null} */
  let style = [0.5, -1];
  place.live.open({ ...place.source, style: () => style });
  place.line.open();
  const [open] = place.line.take();
  assert.deepEqual([open.seed, open.style], [5, [0.5, -1]]);
  place.line.hear({ type: "ready", epoch: open.epoch });
  place.line.take();
  for (style of [[2, 3], null]) {
    place.live.markStyle();
    place.tick();
    const [message] = place.line.take();
    assert.deepEqual([message.type, message.seed, message.style], ["style", 5, style]);
  }
});

/** The same with two regions, and styles that are theirs. @param {any} source */
const withRegions = (source) => ({
  ...source,
  regions: () => [[1], [2]],
  numbering: () => "1,2",
  hasStyles: () => true,
});
const moreOf = (/** @type {any} */ message) =>
  message instanceof Uint8Array ? message[2] === 1 : message.more;

test("styles by region: with the document, after the map, after a gap and whenever they change", () => {
  const place = house();
  place.live.open(withRegions(place.source));
  place.line.open();
  const [open] = place.line.take();
  assert.deepEqual(open.regions, [[1], [2]]);
  place.line.hear({ type: "ready", epoch: 1, paints_width: 8, paints_height: 4 });
  const first = place.line.take();
  assert.deepEqual(first.map(kindOf), [2, 4]);
  assert.deepEqual(first.map(moreOf), [true, false], "nothing is painted between the map and its styles");
  assert.deepEqual([...first[1].slice(20)], [1, 32, 0], "style numbers, not labels");
  place.live.markStyles(RECT);
  place.live.mark(RECT);
  place.live.markStyle();
  place.tick();
  const changes = place.line.take();
  assert.deepEqual(changes.map(kindOf), ["style", 1, 3]);
  assert.deepEqual(changes.map(moreOf), [true, true, false]);
  assert.deepEqual(changes[0].regions, [[1], [2]]);
  assert.deepEqual([...changes[2].slice(12)], [1, 0, 1, 0, 2, 0, 1, 0, 1, 1]);
  place.line.hear({ type: "resync", epoch: 1, expected: 2, got: 3, reason: "" });
  assert.deepEqual(place.line.take().map(kindOf), [2, "style", 4]);
});

test("styles by region: where a light gets another number, all numbers are said again", () => {
  const place = house();
  /** @type {number[][]} */
  let regions = [[1]];
  let numbering = "1";
  place.live.open({
    ...place.source,
    regions: () => regions,
    numbering: () => numbering,
    hasStyles: () => regions.length > 0,
  });
  place.line.open();
  place.line.hear({ type: "ready", epoch: 1 });
  place.line.take();
  regions = [[1], [2]];
  numbering = "1,2";
  place.live.markStyle();
  place.tick();
  const added = place.line.take();
  assert.deepEqual(added.map(kindOf), ["style", 3]);
  assert.deepEqual([...added[1].slice(12, 20)], [0, 0, 0, 0, 8, 0, 4, 0]);
  regions = [[1], [3]];
  place.live.markStyle();
  place.tick();
  assert.deepEqual(place.line.take().map(kindOf), ["style"], "another code for the same number");
  numbering = "1,0,2";
  place.live.markStyle();
  place.tick();
  assert.deepEqual(
    place.line.take().map(kindOf),
    ["style", 3],
    "as many regions, but another light's number",
  );
  regions = [];
  numbering = "";
  place.live.markStyle();
  place.live.markStyles(RECT);
  place.tick();
  assert.deepEqual(place.line.take().map(kindOf), ["style"], "without regions there are no numbers to say");
});

test("a model without styles by region is told of none", () => {
  const place = house();
  place.ready();
  assert.deepEqual(place.line.take().map(kindOf), [2]);
  place.live.markStyles(RECT);
  place.tick();
  assert.deepEqual(place.line.take(), []);
});

test("the size of the pictures is known from `ready` on", () => {
  const place = house();
  place.live.open(place.source);
  place.line.open();
  place.line.take();
  assert.equal(place.live.paints, null);
  place.line.hear({ type: "ready", epoch: 1, paints_width: 4, paints_height: 2 });
  assert.deepEqual(place.live.paints, { width: 4, height: 2 });
  place.live.open(place.source);
  assert.equal(place.live.paints, null, "another document, another size");
});

test("no call of a hand's waits for the network: with a dead line everything is taken at once", () => {
  const place = house();
  place.ready();
  place.line.take();
  place.line.bufferedAmount = 1 << 30;
  for (let i = 0; i < 1000; i++) {
    place.live.mark({ x: i % 8, y: i % 4, width: 1, height: 1 });
    place.tick();
  }
  assert.deepEqual(place.line.take(), []);
  place.line.bufferedAmount = 0;
  place.tick();
  assert.deepEqual(place.line.take().map(kindOf), [1], "what piled up is one small patch");
});

test("a full socket holds patches back until it has room", () => {
  const place = house();
  place.ready();
  place.line.take();
  place.line.bufferedAmount = 1 << 20;
  place.live.mark(RECT);
  place.tick();
  assert.deepEqual(place.line.take(), []);
  place.line.bufferedAmount = 0;
  place.tick();
  assert.deepEqual(place.line.take().map(kindOf), [1]);
});

test("a lost line comes back by itself, with a new epoch and the whole map", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const place = house();
    place.ready();
    place.line.drop(1006);
    assert.equal(place.told.phases.at(-1), "waiting");
    assert.equal(place.live.line.why, "The server cannot be reached");
    place.live.mark(RECT);
    place.tick();
    mock.timers.tick(retryDelay(0, 0.5) - 1);
    assert.equal(place.lines.length, 1);
    mock.timers.tick(1);
    assert.equal(place.lines.length, 2);
    place.line.drop(1006);
    mock.timers.tick(retryDelay(0, 0.5));
    assert.equal(place.lines.length, 2, "the second wait is longer");
    mock.timers.tick(retryDelay(1, 0.5));
    place.line.open();
    assert.equal(place.line.take()[0].epoch, 2);
    place.line.hear({ type: "ready", epoch: 2 });
    assert.deepEqual(place.line.take().map(kindOf), [2]);
    assert.equal(place.told.phases.at(-1), "ready");
  } finally {
    mock.timers.reset();
  }
});

test("a server that says when to come back is believed", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const place = house();
    place.ready();
    place.line.hear({ type: "bye", reason: "restart", retry_after: 3 });
    place.line.drop(CLOSE.goingAway);
    mock.timers.tick(2999);
    assert.equal(place.lines.length, 1, "never before");
    mock.timers.tick(751);
    assert.equal(place.lines.length, 2, "and not all at the same moment");
  } finally {
    mock.timers.reset();
  }
});

test("fifty pages that are told the same second do not come back in step", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const pages = Array.from({ length: 50 }, (_, i) => {
      const place = house();
      place.live.options.random = () => i / 50;
      place.ready();
      place.line.hear({ type: "bye", reason: "restart", retry_after: 4 });
      place.line.drop(CLOSE.goingAway);
      return place;
    });
    const back = () => pages.filter(({ lines }) => lines.length === 2).length;
    mock.timers.tick(3_999);
    assert.equal(back(), 0);
    const perTenth = [];
    for (let before = back(); before < 50; before = back()) {
      mock.timers.tick(100);
      perTenth.push(back() - before);
      assert.ok(perTenth.length <= 21, "all of them within half the time again");
    }
    assert.ok(Math.max(...perTenth) <= 4, `a tenth of a second brings ${Math.max(...perTenth)} of 50`);
  } finally {
    mock.timers.reset();
  }
});

test("a server that wants a token is not asked again before somebody has one; what is painted meanwhile is sent then", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const place = house();
    place.live.open(place.source);
    place.line.open();
    place.line.drop(CLOSE.token);
    assert.equal(place.told.phases.at(-1), "locked");
    assert.equal(place.told.refusals.length, 0, "the door says it");
    place.live.mark(RECT);
    place.tick();
    mock.timers.tick(600_000);
    assert.equal(place.lines.length, 1);
    place.live.connect();
    place.line.open();
    const [open] = place.line.take();
    place.line.hear({ type: "ready", epoch: open.epoch });
    assert.deepEqual(place.line.take().map(kindOf), [2], "the whole map");
    assert.equal(place.told.phases.at(-1), "ready");
    // The token is taken back in the middle of a painting.
    place.line.hear({ type: "bye", reason: "the token is not known any more", retry_after: 1 });
    place.line.drop(CLOSE.token);
    mock.timers.tick(600_000);
    assert.equal(place.lines.length, 2);
    place.live.wake();
    assert.equal(place.lines.length, 3, "whoever looks again may have signed in elsewhere");
  } finally {
    mock.timers.reset();
  }
});

test("who has signed in or out is heard of over a new line, and the old one is let go of", () => {
  const place = house();
  place.ready();
  const [old] = place.lines;
  place.live.renew();
  assert.equal(old.readyState, 3);
  assert.equal(place.lines.length, 2);
  old.hear({ type: "bye", reason: "", retry_after: 9 });
  old.drop(1006);
  assert.equal(place.told.phases.at(-1), "connecting", "nothing is heard of the old line");
  place.line.open();
  assert.equal(kindOf(place.line.take()[0]), "open");
});

test("too many windows of one painter wait and come back, as for a full server", () => {
  for (const [code, why] of [
    [CLOSE.tooMany, "The server is full"],
    [CLOSE.tooManySockets, "Too many windows of yours are painting here"],
  ]) {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const place = house();
      place.live.open(place.source);
      place.line.open();
      place.line.hear({ type: "bye", reason: "", retry_after: 8 });
      place.line.drop(/** @type {number} */ (code));
      assert.equal(place.told.phases.at(-1), "waiting");
      assert.equal(place.live.line.why, why);
      assert.equal(place.live.line.retryIn, notBefore(8_000, 0.5));
      mock.timers.tick(7_999);
      assert.equal(place.lines.length, 1);
      mock.timers.tick(4_000);
      assert.equal(place.lines.length, 2);
      place.line.drop(/** @type {number} */ (code));
      mock.timers.tick(4_999);
      assert.equal(place.lines.length, 2, "without a word of the server it waits too");
    } finally {
      mock.timers.reset();
    }
  }
});

test("how busy the server is, is told when it changes, and forgotten with the line", () => {
  const place = house();
  place.ready();
  const { told } = place;
  assert.deepEqual(told.loads, []);
  place.line.hear({ type: "load", level: "slower", painters: 9 });
  place.line.hear({ type: "load", level: "slower", painters: 9 });
  place.line.hear({ type: "load", level: "smaller", painters: 12 });
  place.line.hear({ type: "load", level: "a word of a newer server", painters: 12 });
  assert.deepEqual(told.loads, [
    { level: "slower", painters: 9 },
    { level: "smaller", painters: 12 },
  ]);
  place.line.drop(CLOSE.malformed);
  assert.deepEqual(told.loads.at(-1), { level: "normal", painters: 0 });
});

test("closes that trying again cannot mend stop the line and say why", () => {
  for (const code of [CLOSE.subprotocol, CLOSE.origin, CLOSE.tooBig, CLOSE.malformed]) {
    const place = house();
    place.ready();
    place.line.drop(code);
    assert.equal(place.told.phases.at(-1), "stopped");
    assert.equal(place.told.refusals.length, 1);
    const [{ title, detail, next }] = place.told.refusals;
    assert.ok(title && detail && next);
    place.live.wake();
    assert.equal(place.lines.length, 1);
    place.live.open(place.source);
    assert.equal(place.lines.length, 2, "a new painting tries again");
  }
});

test("a fatal error is said once, in the server's words", () => {
  const place = house();
  const epoch = place.ready();
  place.line.hear({ type: "error", epoch, code: "x", title: "T", detail: "D", next: "N", fatal: true });
  place.line.drop(CLOSE.malformed);
  assert.deepEqual(
    place.told.refusals.map(({ title }) => title),
    ["T"],
  );
  assert.equal(place.told.phases.at(-1), "stopped");
});

test("a refused document says so, and can be asked for again over the same line", () => {
  const place = house();
  const { live, told } = place;
  const no = { type: "error", code: "x", title: "T", detail: "D", next: "N", fatal: false };
  live.open(place.source);
  place.line.open();
  const [{ epoch }] = place.line.take();
  place.line.hear({ ...no, epoch: epoch - 1 });
  assert.deepEqual(told.phases, ["connecting"], "an answer to an earlier question");
  place.line.hear({ ...no, epoch });
  assert.deepEqual(told.phases, ["connecting", "refused"]);
  assert.equal(live.line.why, "T");
  live.retry();
  assert.equal(told.phases.at(-1), "connecting");
  const [again] = place.line.take();
  assert.deepEqual([again.type, again.epoch], ["open", epoch + 1]);
  place.line.hear({ type: "ready", epoch: again.epoch });
  assert.equal(told.phases.at(-1), "ready");
  assert.equal(place.lines.length, 1);
});

test("an error in the middle of a painting is said, and the painting goes on", () => {
  const place = house();
  const epoch = place.ready();
  place.line.hear({ type: "error", epoch, code: "x", title: "T", detail: "D", next: "N", fatal: false });
  assert.equal(place.told.refusals.length, 1);
  assert.equal(place.told.phases.at(-1), "ready");
});

test("asking again without a line makes one", () => {
  const place = house();
  place.ready();
  place.line.drop(CLOSE.malformed);
  place.live.retry();
  assert.equal(place.lines.length, 2);
  assert.equal(place.told.phases.at(-1), "connecting");
});

test("an idle line rests until somebody paints", () => {
  const place = house();
  place.ready();
  place.line.drop(CLOSE.idle);
  assert.equal(place.told.phases.at(-1), "idle");
  assert.equal(place.lines.length, 1);
  place.live.mark(RECT);
  assert.equal(place.lines.length, 2);
});

test("a line that is dead without saying so is noticed, but only while a picture is owed", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const place = house();
    const epoch = place.ready();
    const { line, clock, live } = place;
    line.take();
    line.hear(frame({ epoch, revision: 1, number: 1 }));
    live.shown(place.told.frames[0]);
    line.take();
    clock.time = 60_000;
    live.watch();
    assert.deepEqual(line.take(), [], "quiet is fine when everything is shown");
    live.mark(RECT);
    place.tick();
    line.take();
    clock.time += 5_000;
    live.watch();
    assert.equal(line.take()[0].type, "ping");
    line.hear({ type: "pong", t: 1 });
    clock.time += 5_000;
    live.watch();
    assert.equal(line.take()[0].type, "ping", "an answer buys time");
    clock.time += 16_000;
    live.watch();
    assert.equal(place.told.phases.at(-1), "waiting");
  } finally {
    mock.timers.reset();
  }
});

test("a preview settles the page, and the exact picture that it is owed is watched for", () => {
  const place = house();
  const epoch = place.ready();
  const { line, clock, live, told } = place;
  line.take();
  line.hear(frame({ epoch, revision: 1, number: 1, exact: false }));
  assert.equal(told.frames.at(-1).exact, false);
  live.shown(told.frames.at(-1));
  assert.ok(live.settled);
  assert.deepEqual(line.take(), [{ type: "ack", epoch, frame: 1 }]);
  clock.time += 5_000;
  live.watch();
  assert.equal(line.take()[0].type, "ping", "the exact picture has not come");
  line.hear(frame({ epoch, revision: 1, number: 2 }));
  assert.equal(live.shown(told.frames.at(-1)), null, "the same state: no latency to tell");
  assert.deepEqual(line.take(), [{ type: "ack", epoch, frame: 2 }]);
  clock.time += 60_000;
  live.watch();
  assert.deepEqual(line.take(), [], "everything is shown");
});

test("a picture that the server gave up is owed no longer, until something changes", () => {
  const place = house();
  const epoch = place.ready();
  const { line, clock, live, told } = place;
  line.hear(frame({ epoch, revision: 1, number: 1, exact: false }));
  live.shown(told.frames.at(-1));
  line.take();
  const no = { type: "error", code: "internal", title: "T", detail: "D", next: "N", fatal: false };
  line.hear({ ...no, epoch: epoch - 1, revision: 1 });
  clock.time += 5_000;
  live.watch();
  assert.equal(line.take()[0].type, "ping", "that was about another document");
  line.hear({ ...no, epoch, revision: 1 });
  assert.equal(told.refusals.length, 2);
  for (let i = 0; i < 10; i++) {
    clock.time += 5_000;
    live.watch();
  }
  assert.deepEqual(line.take(), []);
  assert.equal(told.phases.at(-1), "ready");
  live.mark(RECT);
  place.tick();
  line.take();
  clock.time += 5_000;
  live.watch();
  assert.equal(line.take()[0].type, "ping");
});

test("waits grow, have a limit, and are never in step", () => {
  const waits = [0, 1, 2, 3, 4, 5, 9, 40].map((attempt) => retryDelay(attempt, 0.5));
  for (let i = 1; i < waits.length; i++) assert.ok(waits[i] >= waits[i - 1]);
  assert.ok(waits[0] < 1000);
  assert.equal(waits.at(-1), 10_000);
  assert.ok(retryDelay(3, 0.9) > retryDelay(3, 0.1));
  assert.equal(notBefore(3_000, 0), 3_000);
  assert.ok(notBefore(3_000, 0.9) > notBefore(3_000, 0.1));
  assert.equal(notBefore(0, 0.5), 0);
});
