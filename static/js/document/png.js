/**
 * PNG, as much of it as label maps need (W3C PNG, third edition): written as 8-bit palette images whose values are
 * class ids, or as RGBA; read as ids (palette or greyscale) or as colours (RGB). No canvas is involved, because a canvas
 * colour manages and premultiplies, and ids must come back as they went.
 *
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {{kind: "ids", width: number, height: number, data: Uint8Array, palette: Uint8Array | null}} IdImage
 *   palette: 3 bytes per value, as many as the file has; null where values are greys
 * @typedef {{kind: "rgb", width: number, height: number, data: Uint8Array, alpha: Uint8Array | null,
 *   transparent: number}} RgbImage data: 3 bytes per pixel; alpha: one, of a file with an alpha channel; transparent: how
 *   many pixels are not fully opaque
 */
import { DocumentError } from "./errors.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const RGBA = 6;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/**
 * @param {Uint8Array} bytes
 * @returns {number} CRC-32 as in PNG and zlib
 */
export function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC_TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/**
 * @param {LabelMap} map
 * @param {Uint8Array} palette 3 bytes per id, from id 0 on; at most 256 colours, enough for every id in the map
 * @returns {Promise<Uint8Array>} the file
 */
export async function encodePng({ width, height, data }, palette) {
  const rows = new Uint8Array(height * (width + 1));
  // Filter 0 on every row: ids are names, not amounts, so differences between neighbours mean nothing.
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return file(width, height, PALETTE, [chunk("PLTE", palette)], rows);
}

/**
 * @param {{width: number, height: number, data: Uint8Array}} image 4 bytes per pixel: RGB and opacity
 * @returns {Promise<Uint8Array>} the file
 */
export async function encodeRgba({ width, height, data }) {
  const stride = width * 4;
  const rows = new Uint8Array(height * (stride + 1));
  for (let y = 0; y < height; y++)
    rows.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  return file(width, height, RGBA, [], rows);
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} color
 * @param {Uint8Array[]} chunks between header and pixels
 * @param {Uint8Array} rows with their filter bytes
 */
async function file(width, height, color, chunks, rows) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, color, 0, 0, 0], 8);
  return concat([
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    ...chunks,
    chunk("IDAT", await deflate(rows)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

/**
 * @param {Uint8Array} bytes a file
 * @param {{maxPixels: number}} limits checked before anything is inflated
 * @returns {Promise<IdImage | RgbImage>}
 * @throws {DocumentError}
 */
export async function decodePng(bytes, { maxPixels }) {
  const { header, palette, data } = readImage(bytes);
  const { width, height, depth, color } = header;
  if (width * height > maxPixels) {
    throw new DocumentError(
      "The picture is too large: {width} × {height} pixels.",
      "At most {most} pixels can be opened.",
      "Make it smaller in an image editor, with nearest-neighbour resizing so that no label is blended.",
      { width, height, most: maxPixels.toLocaleString("en") },
    );
  }
  const channels = { [GREY]: 1, [PALETTE]: 1, [RGB]: 3, [RGBA]: 4 }[color] ?? 0;
  const stride = Math.ceil((width * channels * depth) / 8);
  const raw = await inflate(data, height * (stride + 1));
  const rows = unfilter(raw, stride, height, Math.max(1, (channels * depth) >> 3));
  if (color === PALETTE || color === GREY) {
    const ids = unpack(rows, width, height, stride, depth);
    return { kind: "ids", width, height, data: ids, palette };
  }
  return dropAlpha(rows, width, height, channels);
}

/** Whether the bytes begin as a PNG does. @param {Uint8Array} bytes */
export function isPng(bytes) {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/**
 * An international text (chunk iTXt, section 11.3.3.4).
 *
 * @param {Uint8Array} bytes a PNG
 * @param {string} keyword
 * @param {number} most bytes that it may have
 * @returns {Promise<string | null>} null where there is none of that keyword
 * @throws {DocumentError} when the file is damaged or the text too long
 */
export async function readText(bytes, keyword, most) {
  for (const { type, body } of chunksOf(bytes)) {
    const name = body.indexOf(0);
    if (type !== "iTXt" || new TextDecoder("latin1").decode(body.subarray(0, name)) !== keyword) continue;
    const language = body.indexOf(0, name + 3);
    const text = body.indexOf(0, language + 1) + 1;
    if (name < 0 || language < 0 || text === 0) throw damaged();
    const content = body[name + 1] ? await inflate(body.subarray(text), most, false) : body.subarray(text);
    if (content.length > most) throw damaged();
    return new TextDecoder().decode(content);
  }
  return null;
}

/** @typedef {{width: number, height: number, depth: number, color: number}} Header */

/**
 * @param {Uint8Array} bytes
 * @returns {{header: Header, palette: Uint8Array | null, data: Uint8Array}}
 */
function readImage(bytes) {
  /** @type {Header | null} */
  let header = null;
  /** @type {Uint8Array | null} */
  let palette = null;
  const parts = [];
  for (const { type, body } of chunksOf(bytes)) {
    if (type === "IHDR") header = readHeader(body);
    if (type === "PLTE") palette = body;
    if (type === "IDAT") parts.push(body);
  }
  if (!header) throw damaged();
  return { header, palette: header.color === PALETTE ? palette : null, data: concat(parts) };
}

/**
 * @param {Uint8Array} bytes
 * @returns {Generator<{type: string, body: Uint8Array}>} every chunk up to the last, each checked
 */
function* chunksOf(bytes) {
  if (!isPng(bytes)) {
    throw new DocumentError(
      "This file is not a PNG.",
      "Label maps travel as PNG, because JPEG and WebP smear the colours that stand for labels.",
      "Save the label map as PNG and open that.",
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) break;
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) throw damaged();
    yield { type, body: bytes.subarray(at + 8, at + 8 + length) };
    if (type === "IEND") return;
    at += 12 + length;
  }
  throw damaged();
}

/**
 * @param {Uint8Array} body
 * @returns {Header}
 */
function readHeader(body) {
  if (body.length !== 13) throw damaged();
  const view = new DataView(body.buffer, body.byteOffset, 13);
  const [depth, color, , , interlace] = body.subarray(8);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  if (width === 0 || height === 0) throw damaged();
  const known =
    color === PALETTE ? [1, 2, 4, 8].includes(depth) : depth === 8 && [GREY, RGB, RGBA].includes(color);
  if (!known || interlace !== 0) {
    throw new DocumentError(
      "This kind of PNG cannot be read as a label map.",
      interlace ? "It is interlaced." : "It has colour type {color} with {depth} bits per channel.",
      "Save it as an 8-bit palette or 8-bit RGB PNG, not interlaced.",
      { color, depth },
    );
  }
  return { width, height, depth, color };
}

function damaged() {
  return new DocumentError(
    "This PNG is damaged.",
    "It ends too early or a checksum does not match.",
    "Export it again, or copy the file once more.",
  );
}

/**
 * Undo the row filters (section 9.2), in place.
 *
 * @param {Uint8Array} raw filter byte and row, for each row
 * @param {number} stride bytes per row
 * @param {number} height
 * @param {number} step bytes per pixel, at least 1
 * @returns {Uint8Array} the rows without filter bytes
 */
function unfilter(raw, stride, height, step) {
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    if (filter > 4) throw damaged();
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    for (let i = 0; i < stride; i++) {
      const left = i >= step ? out[to + i - step] : 0;
      const up = y > 0 ? out[to + i - stride] : 0;
      const corner = i >= step && y > 0 ? out[to + i - step - stride] : 0;
      out[to + i] = raw[from + i] + predict(filter, left, up, corner);
    }
  }
  return out;
}

/**
 * @param {number} filter
 * @param {number} left
 * @param {number} up
 * @param {number} corner
 * @returns {number}
 */
function predict(filter, left, up, corner) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const estimate = left + up - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

/**
 * Palette values of fewer than 8 bits are packed, the leftmost pixel in the high bits.
 *
 * @param {Uint8Array} rows
 * @param {number} width
 * @param {number} height
 * @param {number} stride
 * @param {number} depth
 * @returns {Uint8Array} one byte per pixel
 */
function unpack(rows, width, height, stride, depth) {
  if (depth === 8) return rows;
  const out = new Uint8Array(width * height);
  const mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      out[y * width + x] = (rows[y * stride + (bit >> 3)] >> (8 - depth - (bit & 7))) & mask;
    }
  }
  return out;
}

/**
 * @param {Uint8Array} rows
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @returns {RgbImage}
 */
function dropAlpha(rows, width, height, channels) {
  const data = new Uint8Array(width * height * 3);
  const alpha = channels === 4 ? new Uint8Array(width * height) : null;
  let transparent = 0;
  for (let i = 0; i < width * height; i++) {
    for (let k = 0; k < 3; k++) data[i * 3 + k] = rows[i * channels + k];
    if (!alpha) continue;
    alpha[i] = rows[i * 4 + 3];
    if (alpha[i] !== 255) transparent++;
  }
  return { kind: "rgb", width, height, data, alpha, transparent };
}

/**
 * @param {string} type
 * @param {Uint8Array} body
 * @returns {Uint8Array}
 */
function chunk(type, body) {
  const out = new Uint8Array(12 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set(
    [...type].map((letter) => letter.charCodeAt(0)),
    4,
  );
  out.set(body, 8);
  view.setUint32(8 + body.length, crc32(out.subarray(4, 8 + body.length)));
  return out;
}

/**
 * @param {Uint8Array[]} parts
 * @returns {Uint8Array}
 */
function concat(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<Uint8Array>} zlib data
 */
async function deflate(bytes) {
  const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]);
  const stream = blob.stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @param {Uint8Array} bytes zlib data
 * @param {number} size how much must come out; a file that inflates further is stopped there
 * @param {boolean} [exactly] false: less is fine
 * @returns {Promise<Uint8Array>}
 */
async function inflate(bytes, size, exactly = true) {
  const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]);
  const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(size);
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > size) throw damaged();
      out.set(value, at);
      at += value.length;
    }
  } catch {
    await reader.cancel().catch(() => {});
    throw damaged();
  }
  if (exactly && at !== size) throw damaged();
  return out.subarray(0, at);
}
