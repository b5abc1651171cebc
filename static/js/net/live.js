/**
 * The live line: one socket that comes back by itself. It sends bytes and hands over frames; what the bytes mean to a
 * painter is not its business.
 *
 * @typedef {import("./protocol.js").Rect} Rect
 * @typedef {import("./protocol.js").Frame} Frame
 * @typedef {{width: number, height: number, model: string | null, labelSet: string, seed: () => number,
 *   style: () => readonly number[] | null, regions: () => readonly (readonly number[])[], numbering: () => string,
 *   read: (rect: Rect) => Uint8Array, readStyles: (rect: Rect) => Uint8Array, hasStyles: () => boolean}} Source the map
 *   and light to send: read at the moment of sending, so always its newest state. `readStyles` gives style numbers: 0 for
 *   the painting's own light, k for the k-th of `regions`; `hasStyles` says whether any of them is not 0; `numbering` says
 *   which light has which number, in any words that change when that does, and none without regions
 * @typedef {{phase: "connecting" | "ready" | "waiting" | "idle" | "refused" | "locked" | "stopped", why: string,
 *   retryIn: number}} Line retryIn: milliseconds, when waiting; refused: the line is there, but the server does not paint
 *   what it was asked to; locked: it wants a token first
 * @typedef {{level: "normal" | "slower" | "smaller", painters: number}} Load what so many painters mean for each of them:
 *   fewer frames, or previews that are smaller than the canvas too
 * @typedef {import("./closes.js").Refusal} Refusal
 * @typedef {{
 *   url: string,
 *   openSocket: (url: string, protocol: string) => WebSocket,
 *   now: () => number,
 *   random: () => number,
 *   schedule: (task: () => void) => () => void,
 *   onLine: (line: Line) => void,
 *   onFrame: (frame: Frame) => void,
 *   onRefusal: (refusal: Refusal) => void,
 *   onLoad: (load: Load) => void,
 * }} LiveOptions `schedule` makes a task run at most once per animation frame
 */
import { AWAY, FINAL, FULL } from "./closes.js";
import { Latency } from "./latency.js";
import { Outbox } from "./outbox.js";
import { notBefore, retryDelay } from "./patience.js";
import {
  CLOSE,
  decodeFrame,
  encodeCells,
  PATCH,
  STYLE_PATCH,
  SUBPROTOCOL,
  WHOLE,
  WHOLE_STYLES,
} from "./protocol.js";

const KINDS = { whole: WHOLE, patch: PATCH, "whole styles": WHOLE_STYLES, "style patch": STYLE_PATCH };

/** Least wait for a seat. */
const BUSY_RETRY = 5_000;
const LEVELS = ["normal", "slower", "smaller"];
/** @type {Load} */
const QUIET = { level: "normal", painters: 0 };
/** Silence, while a picture is owed, after which we ask whether anyone is there, and after which we hang up. */
const ASK_AFTER = 4_000;
const HANG_UP_AFTER = 15_000;

/** @param {Source} source */
function lightOf({ seed, style, regions }) {
  return { seed: seed(), style: style(), regions: regions() };
}

/** @param {Source} source @returns {Rect} */
function allOf({ width, height }) {
  return { x: 0, y: 0, width, height };
}

export class Live {
  /** @param {LiveOptions} options */
  constructor(options) {
    this.options = options;
    this.outbox = new Outbox();
    this.latency = new Latency();
    /** @type {Source | null} */
    this.source = null;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.attempt = 0;
    this.retryAfter = 0;
    /** @type {Refusal | null} */
    this.fatal = null;
    this.heard = 0;
    this.asked = false;
    /** Which light has which number for the server, or will with what waits. */
    this.numbering = "";
    this.shownRevision = 0;
    this.shownExact = false;
    /** The newest revision whose exact picture will not come: the server said so. */
    this.failedRevision = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
    this.askFlush = options.schedule(() => this.flush());
    /** The size of the server's pictures, which is less than the painting's where its model paints none so large.
     *
     * @type {{width: number, height: number} | null} */
    this.paints = null;
    /** @type {Line} */
    this.line = { phase: "connecting", why: "", retryIn: 0 };
    this.load = QUIET;
  }

  /**
   * Paint this from now on.
   *
   * @param {Source} source
   */
  open(source) {
    this.source = source;
    this.retry();
  }

  /** Ask again: over the line that is there, or else over a new one. */
  retry() {
    if (this.socket?.readyState !== 1) {
      this.connect();
      return;
    }
    if (this.line.phase !== "ready") this.#say("connecting");
    this.#sendOpen();
  }

  /** Try now, whatever the back-off says. */
  connect() {
    clearTimeout(this.retryTimer);
    if (!this.source || (this.socket && this.socket.readyState < 2)) return;
    this.fatal = null;
    this.#say("connecting");
    const socket = this.options.openSocket(this.options.url, SUBPROTOCOL);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => this.#message(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** Somebody looks again, or the network is back: no need to wait any longer. They may have signed in elsewhere. */
  wake() {
    if (["waiting", "idle", "locked"].includes(this.line.phase)) this.connect();
  }

  /** Who we are to the server has changed: it hears of it over a new line. */
  renew() {
    this.#letGo()?.close();
    this.connect();
  }

  /** @param {Rect} rect labels that changed */
  mark(rect) {
    this.outbox.mark(rect, this.options.now());
    this.#woken();
  }

  /** @param {Rect} rect style numbers that changed; without regions they say nothing, and are not sent */
  markStyles(rect) {
    if (!this.source?.regions().length) return;
    this.outbox.markStyles(rect, this.options.now());
    this.#woken();
  }

  /** Seed, style or the regions' styles changed. */
  markStyle() {
    const { source, options } = this;
    this.outbox.markLight(options.now());
    const numbering = source?.numbering() ?? "";
    // Where regions come or go, the same light may have another number.
    if (source && numbering && numbering !== this.numbering) {
      this.outbox.markStyles(allOf(source), options.now());
    }
    this.numbering = numbering;
    this.#woken();
  }

  /** Whether a frame is of what is open now, not of what was before. @param {Frame} frame */
  isCurrent(frame) {
    return frame.epoch === this.outbox.epoch;
  }

  /**
   * A frame is on the screen.
   *
   * @param {Frame} frame
   * @returns {number | null} milliseconds from stroke to picture, when it shows something new
   */
  shown(frame) {
    if (!this.isCurrent(frame)) return null;
    this.#send(JSON.stringify({ type: "ack", epoch: frame.epoch, frame: frame.number }));
    this.shownRevision = frame.revision;
    this.shownExact = frame.exact;
    return this.latency.shown(frame.revision, this.options.now());
  }

  /** Whether the newest state is on the screen, be it as a preview. */
  get settled() {
    const { phase, revision, pending } = this.outbox;
    return phase === "ready" && !pending && revision > 0 && this.shownRevision === revision;
  }

  /** Send what waits, unless the socket is still busy with what it has. */
  flush() {
    if (this.socket?.readyState !== 1 || !this.source) return;
    for (const parcel of this.outbox.take(this.socket.bufferedAmount, this.source.hasStyles)) {
      this.#post(parcel);
    }
    if (this.outbox.pending) this.askFlush();
  }

  /**
   * To be called every second or two: notices a line that is dead without having said so.
   */
  watch() {
    const { phase, revision } = this.outbox;
    const due = this.shownRevision < revision || !this.shownExact;
    const owed = phase === "ready" && due && this.failedRevision < revision;
    const silence = this.options.now() - this.heard;
    if (!owed || silence < ASK_AFTER) {
      this.asked = false;
    } else if (!this.asked) {
      this.asked = true;
      this.#send(JSON.stringify({ type: "ping", t: this.options.now() }));
    } else if (silence > HANG_UP_AFTER) {
      this.socket?.close();
      this.#closed(1006);
    }
  }

  #woken() {
    if (this.line.phase === "idle") this.connect();
    else this.askFlush();
  }

  /** @param {import("./outbox.js").Parcel} parcel */
  #post(parcel) {
    const source = /** @type {Source} */ (this.source);
    const { what, epoch, revision, more } = parcel;
    this.latency.track(revision, parcel.since);
    // The silence that watch() measures starts with the oldest picture that is owed.
    if (this.shownRevision === revision - 1) this.heard = this.options.now();
    if (what === "light") {
      this.#send(JSON.stringify({ type: "style", epoch, revision, ...lightOf(source), more }));
      return;
    }
    const rect = what === "patch" || what === "style patch" ? parcel.rect : allOf(source);
    const cells = what === "patch" || what === "whole" ? source.read(rect) : source.readStyles(rect);
    this.#send(encodeCells({ kind: KINDS[what], epoch, revision, rect, more }, cells));
  }

  /** @param {string | Uint8Array<ArrayBuffer>} data */
  #send(data) {
    if (this.socket?.readyState === 1) this.socket.send(data);
  }

  #sendOpen() {
    const source = /** @type {Source} */ (this.source);
    const { width, height, model, labelSet } = source;
    const epoch = this.outbox.open(this.options.now());
    this.latency.reset();
    this.paints = null;
    this.numbering = source.numbering();
    this.shownRevision = 0;
    this.shownExact = false;
    this.failedRevision = 0;
    this.#send(
      JSON.stringify({
        type: "open",
        epoch,
        width,
        height,
        model,
        label_set: labelSet,
        ...lightOf(source),
        format: "jpeg",
        // Previews while the hand moves; an exact picture follows by itself when it rests.
        quality: "live",
      }),
    );
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    // Accepted without our subprotocol: the close that says why is on its way.
    if (socket.protocol !== SUBPROTOCOL) return;
    this.heard = this.options.now();
    this.#sendOpen();
  }

  /** @param {string | ArrayBuffer} data */
  #message(data) {
    this.heard = this.options.now();
    this.asked = false;
    if (typeof data === "string") this.#told(JSON.parse(data));
    else {
      const frame = decodeFrame(data);
      if (frame.epoch === this.outbox.epoch) this.options.onFrame(frame);
    }
  }

  /** @param {any} message */
  #told(message) {
    if (message.type === "ready" && message.epoch === this.outbox.epoch) {
      this.outbox.ready(message.epoch);
      this.paints = { width: message.paints_width, height: message.paints_height };
      this.attempt = 0;
      this.#say("ready");
      this.flush();
    } else if (message.type === "resync") {
      this.outbox.resync(message.epoch);
      this.flush();
    } else if (message.type === "error") {
      if (message.fatal) this.fatal = message;
      // An error in the middle of a painting leaves it open; one in answer to `open` means that nothing is.
      else if (message.epoch === this.outbox.epoch && this.outbox.phase === "opening") {
        this.#say("refused", message.title);
      }
      if (message.epoch === this.outbox.epoch && message.revision) this.failedRevision = message.revision;
      this.options.onRefusal(message);
    } else if (message.type === "bye") {
      this.retryAfter = 1000 * (message.retry_after ?? 0);
    } else if (message.type === "load" && LEVELS.includes(message.level)) {
      this.#loaded({ level: message.level, painters: message.painters });
    }
  }

  /** @param {Load} load */
  #loaded(load) {
    if (load.level === this.load.level && load.painters === this.load.painters) return;
    this.load = load;
    this.options.onLoad(load);
  }

  /** @returns {WebSocket | null} the line that there was; nothing is heard of it any more */
  #letGo() {
    const { socket } = this;
    if (socket) socket.onclose = socket.onmessage = socket.onopen = null;
    this.socket = null;
    this.outbox.shut();
    this.#loaded(QUIET);
    return socket;
  }

  /** @param {number} code */
  #closed(code) {
    this.#letGo();
    const asked = this.retryAfter;
    this.retryAfter = 0;
    if (code === CLOSE.idle || code === CLOSE.token) {
      this.#say(code === CLOSE.idle ? "idle" : "locked");
      return;
    }
    const final = this.fatal ? null : FINAL[code];
    if (final) this.options.onRefusal(final);
    if (final || this.fatal) {
      this.#say("stopped", (final ?? this.fatal)?.title);
      return;
    }
    const { random } = this.options;
    const full = FULL[code];
    const least = notBefore(Math.max(asked, full ? BUSY_RETRY : 0), random());
    const wait = Math.max(retryDelay(this.attempt++, random()), least);
    this.#say("waiting", (full ?? AWAY).why, wait);
    this.retryTimer = setTimeout(() => this.connect(), wait);
  }

  /**
   * @param {Line["phase"]} phase
   * @param {string} [why]
   * @param {number} [retryIn]
   */
  #say(phase, why = "", retryIn = 0) {
    this.line = { phase, why, retryIn };
    this.options.onLine(this.line);
  }
}
