/**
 * The bytes of the live protocol; docs/protocol.md says what they mean, tests/data/protocol.json what they are.
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Rect
 * @typedef {{
 *   format: "jpeg" | "webp" | "png", exact: boolean, newest: boolean, epoch: number, revision: number, number: number,
 *   width: number, height: number, waitMicros: number, renderMicros: number, labelSet: string, picture: Uint8Array,
 * }} Frame `labelSet` is the first eight hex digits of the set's hash
 */

export const SUBPROTOCOL = "scenebrush.live.v2";

export const PATCH = 1;
export const WHOLE = 2;
export const STYLE_PATCH = 3;
export const WHOLE_STYLES = 4;
const FRAME = 16;
const MORE = 1;
const CELLS_HEADER = 20;
const FRAME_HEADER = 32;
const MAX_RUN = 65535;
const FORMATS = /** @type {const} */ ([undefined, "jpeg", "webp", "png"]);

/** Close codes that the page treats in a way of their own. */
export const CLOSE = {
  goingAway: 1001,
  tooBig: 1009,
  tooMany: 1013,
  malformed: 4400,
  token: 4401,
  origin: 4403,
  subprotocol: 4406,
  idle: 4408,
  tooManySockets: 4429,
};

/**
 * @param {{kind: number, epoch: number, revision: number, rect: Rect, more?: boolean}} head more: another change follows
 *   at once, and nothing is painted before that
 * @param {Uint8Array} cells rect.width × rect.height class ids or style numbers, row by row
 * @returns {Uint8Array<ArrayBuffer>} the message, as runs where that is shorter
 */
export function encodeCells({ kind, epoch, revision, rect, more = false }, cells) {
  const runs = encodeRuns(cells);
  const payload = runs ?? cells;
  const message = new Uint8Array(CELLS_HEADER + payload.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, runs ? 1 : 0);
  view.setUint16(2, more ? MORE : 0, true);
  view.setUint32(4, epoch, true);
  view.setUint32(8, revision, true);
  view.setUint16(12, rect.x, true);
  view.setUint16(14, rect.y, true);
  view.setUint16(16, rect.width, true);
  view.setUint16(18, rect.height, true);
  message.set(payload, CELLS_HEADER);
  return message;
}

/**
 * @param {Uint8Array} cells
 * @returns {Uint8Array | null} triples of value and run length, or null when raw is at least as short
 */
export function encodeRuns(cells) {
  const out = new Uint8Array(cells.length);
  let at = 0;
  for (let from = 0; from < cells.length; ) {
    let to = from + 1;
    while (to < cells.length && cells[to] === cells[from] && to - from < MAX_RUN) to++;
    if (at + 3 >= cells.length) return null;
    out[at++] = cells[from];
    out[at++] = (to - from) & 0xff;
    out[at++] = (to - from) >> 8;
    from = to;
  }
  return out.slice(0, at);
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {Frame}
 * @throws {RangeError} when this is no frame
 */
export function decodeFrame(buffer) {
  if (buffer.byteLength <= FRAME_HEADER) throw new RangeError("a frame is shorter than its header");
  const view = new DataView(buffer);
  const format = FORMATS[view.getUint8(1)];
  if (view.getUint8(0) !== FRAME || !format || view.getUint8(3) !== 0) {
    throw new RangeError("not a frame of a known format");
  }
  const flags = view.getUint8(2);
  return {
    format,
    exact: (flags & 1) !== 0,
    newest: (flags & 2) !== 0,
    epoch: view.getUint32(4, true),
    revision: view.getUint32(8, true),
    number: view.getUint32(12, true),
    width: view.getUint16(16, true),
    height: view.getUint16(18, true),
    waitMicros: view.getUint32(20, true),
    renderMicros: view.getUint32(24, true),
    labelSet: hex(new Uint8Array(buffer, 28, 4)),
    picture: new Uint8Array(buffer, FRAME_HEADER),
  };
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
