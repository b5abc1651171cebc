/**
 * 128 random bits as hex. Not crypto.randomUUID, which plain http on a home network does not have.
 *
 * @returns {string}
 */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A short seed, because people read it to each other.
 *
 * @param {number} other what it must not be
 * @returns {number} 1…9999
 */
export function newSeed(other) {
  for (;;) {
    const seed = 1 + (crypto.getRandomValues(new Uint32Array(1))[0] % 9999);
    if (seed !== other) return seed;
  }
}
