/**
 * Zip files of known names: written whole, read within bounds. The format's own work is fflate's.
 *
 * @typedef {{name: string, bytes: Uint8Array, stored?: boolean}} Entry `stored`: not compressed, because it is already
 */
import { Unzip, UnzipInflate, zipSync } from "../../vendor/fflate.js";
import { DocumentError } from "./errors.js";

/** What is inflated between two looks at the limits comes from so many bytes at most. */
const CHUNK = 16 * 1024;
/** The first moment that a zip file can tell of. */
const EARLIEST = Date.UTC(1980, 0, 2);

/**
 * @param {readonly Entry[]} entries in their order in the file
 * @param {number} time of all of them, in milliseconds
 * @returns {Uint8Array}
 */
export function zip(entries, time) {
  /** @type {import("../../vendor/fflate.js").Zippable} */
  const files = {};
  for (const { name, bytes, stored } of entries) files[name] = [bytes, { level: stored ? 0 : 6 }];
  return zipSync(files, { mtime: Math.max(time, EARLIEST) });
}

/** Whether the bytes begin as a zip file does. @param {Uint8Array} bytes */
export function isZip(bytes) {
  return [0x50, 0x4b, 3, 4].every((byte, i) => bytes[i] === byte);
}

/**
 * @param {Uint8Array} bytes
 * @param {{maxFiles: number, maxBytes: number}} limits `maxBytes`: of all files together, inflated; what a file says of
 *   its size is believed only when it is too much
 * @returns {Map<string, Uint8Array>}
 * @throws {DocumentError} when it is damaged, or larger than the limits
 */
export function unzip(bytes, { maxFiles, maxBytes }) {
  /** @type {Map<string, Uint8Array[]>} */
  const files = new Map();
  let total = 0;
  const reader = new Unzip((file) => {
    if (files.has(file.name)) throw damaged();
    if (files.size >= maxFiles || total + (file.originalSize ?? 0) > maxBytes) throw tooLarge(maxBytes);
    /** @type {Uint8Array[]} */
    const parts = [];
    files.set(file.name, parts);
    file.ondata = (error, part) => {
      if (error) throw error;
      total += part.length;
      if (total > maxBytes) throw tooLarge(maxBytes);
      parts.push(part);
    };
    file.start();
  });
  reader.register(UnzipInflate);
  try {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      reader.push(bytes.subarray(at, at + CHUNK), at + CHUNK >= bytes.length);
    }
  } catch (error) {
    throw error instanceof DocumentError ? error : damaged();
  }
  return new Map([...files].map(([name, parts]) => [name, concat(parts)]));
}

/** @param {Uint8Array[]} parts */
function concat(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function damaged() {
  return new DocumentError(
    "This file is damaged.",
    "It is a zip file that cannot be unpacked: it ends too early, or a part of it is not what it says.",
    "Save it again where it came from, or copy it once more.",
  );
}

/** @param {number} most */
function tooLarge(most) {
  return new DocumentError(
    "This file is too large.",
    "Unpacked it would have more than {size} MB, or far too many parts.",
    "Make the painting smaller, or merge its layers, and save it again.",
    { size: Math.round(most / 1024 / 1024) },
  );
}
