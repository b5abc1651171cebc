/** Who may come in, and what a server with limits answers, as the page says it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitToken, tokenOf } from "../../static/js/core/token.js";
import { fetchModels, refusesToken, ServerError } from "../../static/js/net/rest.js";
import { fetchSession, postToken } from "../../static/js/net/session.js";
import { deleteShare } from "../../static/js/net/shares.js";
import { Door } from "../../static/js/ui/door.js";
import { loadText } from "../../static/js/ui/load.js";
import { noticeOf } from "../../static/js/ui/studio.js";

const refusal = () => new ServerError("No.", "", "", { status: 401, code: "token-needed" });

function entrance() {
  const told = { asked: 0, opened: 0 };
  const door = new Door({
    ask: () => void told.asked++,
    opened: () => void told.opened++,
    refuses: refusesToken,
  });
  /** A request that the server refuses while the door is shut for it. */
  const server = { lets: false, requests: 0 };
  const request = async () => {
    server.requests++;
    if (!server.lets) throw refusal();
    return "photo";
  };
  return { door, told, server, request };
}

/** All that is already decided happens. */
const calm = () => new Promise((resolve) => setImmediate(resolve));

test("door: requests wait for whoever is asked, once, and are made again when it opens", async () => {
  const { door, told, server, request } = entrance();
  const answers = [door.through(request), door.patiently(request)];
  await calm();
  assert.deepEqual([told.asked, server.requests], [1, 2]);
  server.lets = true;
  door.open();
  assert.deepEqual(await Promise.all(answers), ["photo", "photo"]);
  assert.deepEqual([told.opened, server.requests], [1, 4]);
  door.open();
  assert.equal(told.opened, 1, "an open door is not opened again");
});

test("door: without a token, what somebody wished for is refused, and what nobody waits for goes on waiting", async () => {
  const { door, told, server, request } = entrance();
  const patient = door.patiently(request);
  const wish = door.through(request);
  await calm();
  door.leave();
  await assert.rejects(wish, { code: "token-needed" });
  door.shut();
  const asked = told.asked;
  const another = door.through(request);
  await calm();
  assert.equal(told.asked, asked + 1, "a new wish asks again, a line that is refused again does not");
  server.lets = true;
  door.open();
  assert.equal(await another, "photo");
  assert.equal(await patient, "photo");
});

test("door: a refusal from before it was opened is none now", async () => {
  const { door, told, server } = entrance();
  door.shut();
  let refuse = () => {};
  const late = new Promise((_, reject) => {
    refuse = () => reject(refusal());
  });
  const answer = door.through(() => (server.requests++ ? Promise.resolve("photo") : late));
  door.open();
  refuse();
  assert.equal(await answer, "photo");
  assert.equal(told.asked, 1);
});

test("door: other errors go through", async () => {
  const { door, told } = entrance();
  const busy = new ServerError("Busy.", "", "", { status: 503 });
  const share = new ServerError("Whose?", "", "", { status: 401, code: "delete-token-missing" });
  for (const error of [busy, share, new TypeError("x")]) {
    await assert.rejects(
      door.through(() => Promise.reject(error)),
      error,
    );
  }
  assert.equal(told.asked, 0);
});

test("a token is taken out of the address, and out of whatever is pasted", () => {
  assert.deepEqual(splitToken("#token=sb_a-B_1"), { token: "sb_a-B_1", rest: "" });
  assert.deepEqual(splitToken("#x=1&token=sb_a%2Bb&y"), { token: "sb_a+b", rest: "#x=1&y" });
  assert.deepEqual(splitToken("#token="), { token: "", rest: "" });
  assert.deepEqual(splitToken("#token=%zz"), { token: "%zz", rest: "" });
  for (const hash of ["", "#", "#help", "#mytoken=1"])
    assert.deepEqual(splitToken(hash), { token: "", rest: hash });
  for (const pasted of ["sb_x", "  sb_x\n", "https://host/s/1#token=sb_x", " https://host/#a&token=sb_x "]) {
    assert.equal(tokenOf(pasted), "sb_x");
  }
  assert.equal(tokenOf("  "), "");
});

/**
 * What the page makes of an answer.
 *
 * @param {number} status
 * @param {object | null} problem null for a proxy's plain text
 * @param {Record<string, string>} headers
 * @param {() => Promise<unknown>} [ask]
 * @returns {Promise<ServerError>}
 */
async function refused(status, problem, headers = {}, ask = () => fetchModels("")) {
  const { fetch } = globalThis;
  globalThis.fetch = async () => new Response(problem ? JSON.stringify(problem) : "no", { status, headers });
  try {
    return await ask().then(
      () => assert.fail("it was refused"),
      (error) => error,
    );
  } finally {
    globalThis.fetch = fetch;
  }
}
const urn = (/** @type {string} */ code) => `urn:scenebrush:problem:${code}`;

test("limits of the server are said in one message, with the seconds that it named", async () => {
  const problem = { type: urn("too-many-requests"), title: "Slow down", detail: "D", next: "N" };
  const often = await refused(429, problem, { "retry-after": "7" });
  assert.deepEqual([often.status, often.retryAfter, often.code], [429, 7, "too-many-requests"]);
  assert.deepEqual(noticeOf(often, ""), {
    what: "The server asks for a little patience.",
    why: "A lot has been asked of it from here in a short time.",
    next: "Keep painting; try again in 7 s.",
    tone: "error",
  });
  assert.match(often.message, /try again in 7 s\.$/);
  const busy = await refused(503, { type: urn("busy"), title: "T", next: "N" }, { "retry-after": "2.5" });
  assert.equal(noticeOf(busy, "").what, "The server is busy.");
  assert.equal(noticeOf(busy, "").next, "Keep painting; try again in 3 s.", "never too soon");
  const proxy = await refused(429, null);
  assert.equal(noticeOf(proxy, "").next, "Try again in a moment.");
  const down = await refused(503, null, { "retry-after": "20" });
  assert.equal(noticeOf(down, "").what, "The server answered 503.");
  assert.equal(noticeOf(down, "").next, "Keep painting; try again in 20 s.");
  const leaving = await refused(503, { type: urn("going-away"), title: "T", detail: "D", next: "N" });
  assert.deepEqual([leaving.what, leaving.why, leaving.next], ["T", "D", "N"], "the rest it says itself");
});

test("only a missing token shuts the door: a share has a token of its own", async () => {
  for (const code of ["token-needed", "token-unknown"]) {
    const error = await refused(401, { type: urn(code), title: "T", detail: "D", next: "N" });
    assert.ok(refusesToken(error));
    assert.equal(error.what, "This studio needs a token.");
  }
  const share = await refused(401, { type: urn("delete-token-missing"), title: "T" }, {}, () =>
    deleteShare("", { id: "1", deleteToken: "x" }),
  );
  assert.ok(!refusesToken(share));
  assert.equal(share.what, "T");
});

test("a token is posted as JSON below the server's own path, and the session read", async () => {
  const { fetch } = globalThis;
  const asked = /** @type {any[]} */ ([]);
  globalThis.fetch = async (url, init) => {
    asked.push([url, init?.method, init?.body]);
    return init?.method === "POST"
      ? new Response(null, { status: 204 })
      : new Response(JSON.stringify({ required: true, signed_in: true, name: "Ada" }));
  };
  try {
    await postToken("/paint", "sb_x");
    assert.deepEqual(await fetchSession("/paint"), { required: true, signedIn: true, name: "Ada" });
  } finally {
    globalThis.fetch = fetch;
  }
  assert.deepEqual(asked[0], ["/paint/session", "POST", '{"token":"sb_x"}']);
  assert.equal(asked[1][0], "/paint/session");
});

test("how busy the server is, in words; the explanation does not change with each painter", () => {
  const slower = loadText({ level: "slower", painters: 12 });
  assert.equal(slower.text, "Busy: 12 painters, fewer frames");
  const smaller = loadText({ level: "smaller", painters: 13 });
  assert.equal(
    `${smaller.text}. ${smaller.more}`,
    "Busy: 13 painters, smaller previews. Full photo when you pause.",
  );
  assert.equal(loadText({ level: "smaller", painters: 40 }).why, smaller.why);
  assert.notEqual(smaller.why, slower.why);
  assert.deepEqual(loadText({ level: "normal", painters: 3 }), { text: "", more: "", why: "" });
});
