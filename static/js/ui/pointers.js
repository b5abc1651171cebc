/**
 * Mouse, pen and fingers to gestures: pure, so that it can be followed without a browser.
 *
 * A mouse's first button and a pen paint; the middle button moves the painting on the screen, and so does everything while
 * Space is held or the hand is the tool. One finger paints; a second one cancels what the first began, and both move and
 * scale the painting; two fingers that only tap take a step back, three a step forward. Once a pen has been seen, fingers
 * paint no more: they move the painting, and a palm leaves no mark.
 *
 * @typedef {import("../tools/tool.js").ToolName} ToolName
 * @typedef {import("../tools/tool.js").PaintingToolName} PaintingToolName
 * @typedef {import("../tools/tool.js").Keys} Keys
 * @typedef {{id: number, kind: string, x: number, y: number, time: number, button: number, keys: Keys}} Press x and y in
 *   CSS pixels of the page, time in milliseconds; button as in PointerEvent
 * @typedef {{x: number, y: number}} At
 * @typedef {{
 *   tool: () => ToolName,
 *   panning: () => boolean,
 *   outlining: () => boolean,
 *   down: (tool: PaintingToolName) => void,
 *   up: () => void,
 *   cancel: () => void,
 *   pan: (dx: number, dy: number) => void,
 *   pinch: (from: At, to: At, factor: number) => void,
 *   undo: () => void,
 *   redo: () => void,
 *   penSeen: () => void,
 * }} Deeds `panning`: whether Space is held; `outlining`: whether a gesture goes on between presses
 */

/** Fingers that go less far, in CSS pixels, and lift sooner, in milliseconds, have tapped. */
const TAP_WAY = 10;
const TAP_TIME = 350;
/** PointerEvent.button */
const MIDDLE = 1;
const BARREL = 2;
const ERASER = 5;

export class Pointers {
  /** @param {Deeds} deeds */
  constructor(deeds) {
    this.deeds = deeds;
    /** @type {"idle" | "painting" | "panning" | "pinching" | "spent"} spent: fingers that are down mean nothing more */
    this.doing = "idle";
    /** The pointer that paints or pans. @type {number | null} */
    this.leader = null;
    /** Where fingers are, and where they came down. @type {Map<number, {now: At, from: At}>} */
    this.fingers = new Map();
    this.most = 0;
    this.since = 0;
    this.tapping = false;
    /** Once true, fingers do not paint. */
    this.penSeen = false;
    /** @type {At} */
    this.at = { x: 0, y: 0 };
  }

  /** @param {string} kind of a pointer that moves over the painting */
  notice(kind) {
    if (kind !== "pen" || this.penSeen) return;
    this.penSeen = true;
    this.deeds.penSeen();
  }

  /** @param {Press} press */
  down(press) {
    this.notice(press.kind);
    if (press.kind === "touch") this.#finger(press);
    else this.#point(press);
  }

  /**
   * @param {number} id
   * @param {At} to
   * @returns {boolean} whether this pointer is painting
   */
  move(id, to) {
    const finger = this.fingers.get(id);
    if (this.doing === "pinching" && finger) this.#pinch(finger, to);
    if (finger) finger.now = to;
    if (id !== this.leader) return false;
    if (this.doing === "panning") this.deeds.pan(to.x - this.at.x, to.y - this.at.y);
    this.at = to;
    return this.doing === "painting";
  }

  /** @param {number} id @param {number} time @param {boolean} kept false where the browser took the pointer away */
  up(id, time, kept) {
    const wasFinger = this.fingers.delete(id);
    if (id === this.leader) {
      const painted = this.doing === "painting";
      this.#rest();
      if (painted && kept) this.deeds.up();
      else if (painted) this.deeds.cancel();
      return;
    }
    if (!wasFinger || (this.doing !== "pinching" && this.doing !== "spent")) return;
    this.doing = "spent";
    if (this.fingers.size > 0) return;
    this.#rest();
    if (!kept || !this.tapping || time - this.since > TAP_TIME) return;
    if (this.most === 2) this.deeds.undo();
    else if (this.most === 3) this.deeds.redo();
  }

  /** @param {Press} press of a mouse or a pen */
  #point(press) {
    if (this.doing === "painting") return;
    const pans = press.button === MIDDLE || this.deeds.panning() || this.deeds.tool() === "hand";
    if (!pans && press.button !== 0 && press.kind !== "pen") return;
    this.#lead(press, pans ? "panning" : "painting");
    if (!pans) this.deeds.down(this.#toolFor(press));
  }

  /** @param {Press} press */
  #finger(press) {
    const { id, x, y, time } = press;
    this.fingers.set(id, { now: { x, y }, from: { x, y } });
    const byFinger = this.leader !== null && this.fingers.has(this.leader);
    if (this.doing === "idle") {
      this.most = 1;
      this.since = time;
      const pans = this.penSeen || this.deeds.panning() || this.deeds.tool() === "hand";
      this.#lead(press, pans ? "panning" : "painting");
      if (!pans) this.deeds.down(this.#toolFor(press));
      return;
    }
    // While a pen or a mouse paints, fingers are a palm.
    if (!byFinger && this.doing !== "pinching") return;
    this.most = Math.max(this.most, this.fingers.size);
    if (this.doing === "painting") this.deeds.cancel();
    if (this.doing !== "pinching") this.tapping = true;
    this.doing = "pinching";
    this.leader = null;
  }

  /** @param {{now: At, from: At}} finger @param {At} to */
  #pinch(finger, to) {
    const pair = [...this.fingers.values()].slice(0, 2);
    const before = measure(pair.map(({ now }) => now));
    if (this.tapping && Math.hypot(to.x - finger.from.x, to.y - finger.from.y) < TAP_WAY) return;
    this.tapping = false;
    if (pair.length < 2 || !pair.includes(finger)) return;
    const after = measure(pair.map((one) => (one === finger ? to : one.now)));
    this.deeds.pinch(before.middle, after.middle, before.apart > 0 ? after.apart / before.apart : 1);
  }

  /** @param {Press} press @param {"painting" | "panning"} doing */
  #lead({ id, x, y }, doing) {
    this.doing = doing;
    this.leader = id;
    this.at = { x, y };
  }

  #rest() {
    this.doing = "idle";
    this.leader = null;
  }

  /** @param {Press} press @returns {PaintingToolName} */
  #toolFor({ kind, button, keys }) {
    const tool = /** @type {PaintingToolName} */ (this.deeds.tool());
    if (kind === "pen" && button === ERASER) return "eraser";
    if (kind === "pen" && button === BARREL) return "pick";
    const hasUseForAlt = tool.startsWith("select") || tool === "wand" || this.deeds.outlining();
    return keys.alt && !hasUseForAlt ? "pick" : tool;
  }
}

/** @param {At[]} pair */
function measure([a, b = a]) {
  return {
    middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
    apart: Math.hypot(a.x - b.x, a.y - b.y),
  };
}
