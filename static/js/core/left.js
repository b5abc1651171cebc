/**
 * What a page writes down in the moment in which it goes. The browser's database answers later, and may drop what a page
 * that is gone has asked of it; local storage is done when the call returns, but holds only a little.
 *
 * @typedef {{head: object & {id: string}, parts: [string, Uint8Array | Blob | null][], known: readonly string[]}} Left
 */

const PREFIX = "scenebrush-left ";
/** Of all bytes together; browsers give a site five million letters. */
const MOST = 1_500_000;

/**
 * @param {string} key
 * @param {Left} left
 * @returns {boolean} false: it is too much, or nothing can be stored
 */
export function leaveAtOnce(key, { head, parts, known }) {
  const bytes = parts.reduce(
    (sum, [, part]) => sum + (part instanceof Blob ? MOST + 1 : (part?.length ?? 0)),
    0,
  );
  if (bytes > MOST) return false;
  const written = parts.map(([name, part]) => [name, part && textOf(/** @type {Uint8Array} */ (part))]);
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify({ head, parts: written, known }));
    return true;
  } catch {
    return false;
  }
}

/** @returns {{key: string, left: Left}[]} */
export function leftAtOnce() {
  const found = [];
  try {
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
      const { head, parts, known } = JSON.parse(localStorage.getItem(name) ?? "");
      const read = parts.map((/** @type {[string, string | null]} */ [part, text]) => [
        part,
        text && bytesOf(text),
      ]);
      found.push({ key: name.slice(PREFIX.length), left: { head, parts: read, known } });
    }
  } catch {
    // Forbidden, or not ours.
  }
  return found;
}

/** @param {string} key */
export function forgetLeft(key) {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // Then nothing was left there either.
  }
}

/** @param {Uint8Array} bytes */
function textOf(bytes) {
  const letters = [];
  for (let at = 0; at < bytes.length; at += 4096)
    letters.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  return btoa(letters.join(""));
}

/** @param {string} text */
function bytesOf(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
