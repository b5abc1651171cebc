/** Small choices that this browser remembers. Where it keeps nothing, each visit begins with the page's own. */

/**
 * @param {string} key
 * @returns {unknown} what was remembered; null where nothing was, or nothing can be
 */
export function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(`scenebrush.${key}`) ?? "null");
  } catch {
    return null; // storage is forbidden, or holds something else
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(`scenebrush.${key}`, JSON.stringify(value));
  } catch {
    // Forbidden or full: it is only a choice.
  }
}
