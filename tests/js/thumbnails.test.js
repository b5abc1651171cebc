import assert from "node:assert/strict";
import { test } from "node:test";
import { REST, Thumbnails } from "../../static/js/ui/thumbnails.js";

/** A world whose time passes when somebody waits, with a server that answers when the test says so. */
function world() {
  const state = {
    time: 0,
    quiet: true,
    /** @type {string[]} */
    asked: [],
    /** @type {string[]} */
    shown: [],
    /** @type {number[]} */
    waits: [],
    /** @type {(key: string) => void} what happens while a picture is painted */
    meanwhile: () => {},
    /** @type {Error | null} */
    error: null,
    /** @type {(time: number) => void} */
    passes: () => {},
  };
  const thumbnails = new Thumbnails({
    now: () => state.time,
    quiet: () => state.quiet,
    wait: async (milliseconds) => {
      state.waits.push(milliseconds);
      state.time += milliseconds;
      if (state.time > 1_000_000) throw new Error("it waits for ever");
      state.passes(state.time);
      await Promise.resolve();
    },
    paint: async ({ key }, signal) => {
      state.asked.push(`${key} ${state.time}`);
      state.meanwhile(key);
      await Promise.resolve();
      if (signal.aborted) throw new DOMException("", "AbortError");
      if (state.error) throw state.error;
      return { code: [1], picture: key };
    },
    onPicture: (key) => state.shown.push(key),
  });
  return { state, thumbnails };
}

const wishes = ["a", "b", "c"].map((key) => ({ key, code: null, seed: 1 }));
/** @param {Thumbnails} thumbnails */
async function done(thumbnails) {
  while (thumbnails.running) await new Promise((resolve) => setImmediate(resolve));
}

test("one at a time, in order, once each, when the hand has rested and the photo is finished", async () => {
  const { state, thumbnails } = world();
  state.quiet = false;
  state.passes = (time) => {
    state.quiet = time > 5_000;
  };
  thumbnails.changed();
  thumbnails.want(wishes);
  await done(thumbnails);
  assert.deepEqual(state.shown, ["a", "b", "c"]);
  assert.ok(Number(state.asked[0].split(" ")[1]) > 5_000);
  thumbnails.want(wishes);
  await done(thumbnails);
  assert.equal(state.asked.length, 3, "they are kept while the map is the same");
});

test("a change stops the one under way, and all are painted anew after a rest", async () => {
  const { state, thumbnails } = world();
  let changes = 0;
  let changedAt = 0;
  state.meanwhile = (key) => {
    if (key !== "b" || changes++ > 0) return;
    changedAt = state.time;
    thumbnails.changed();
  };
  thumbnails.want(wishes);
  await done(thumbnails);
  assert.deepEqual(
    state.asked.map((line) => line.split(" ")[0]),
    ["a", "b", "a", "b", "c"],
  );
  assert.deepEqual(state.shown, ["a", "a", "b", "c"]);
  assert.ok(Number(state.asked[2].split(" ")[1]) - changedAt >= REST);
});

test("a busy server is left alone for as long as it says, and longer each time", async () => {
  const { state, thumbnails } = world();
  state.error = Object.assign(new Error("busy"), { status: 503, retryAfter: 7 });
  let failures = 0;
  state.meanwhile = () => {
    if (++failures === 4) state.error = null;
  };
  thumbnails.want(wishes.slice(0, 1));
  await done(thumbnails);
  assert.deepEqual(state.shown, ["a"]);
  assert.deepEqual(
    state.waits.filter((milliseconds) => milliseconds >= 1000),
    [7_000, 7_000, 8_000],
  );
});

test("who is asked for patience, or for a token, tries again later", async () => {
  for (const status of [429, 401]) {
    const { state, thumbnails } = world();
    state.error = Object.assign(new Error("not now"), { status, retryAfter: 9 });
    let failures = 0;
    state.meanwhile = () => {
      if (++failures === 3) state.error = null;
    };
    thumbnails.want(wishes.slice(0, 1));
    await done(thumbnails);
    assert.deepEqual(state.shown, ["a"]);
    assert.deepEqual(
      state.waits.filter((milliseconds) => milliseconds >= 1000),
      [9_000, 9_000],
    );
  }
});

test("what the server refuses is not asked for again", async () => {
  const { state, thumbnails } = world();
  state.error = Object.assign(new Error("no"), { status: 422 });
  thumbnails.want(wishes);
  await done(thumbnails);
  assert.equal(state.asked.length, 3);
  assert.deepEqual(state.shown, []);
});
