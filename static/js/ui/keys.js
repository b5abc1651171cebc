/**
 * Keyboard shortcuts as text: "b", "mod+z", "shift+mod+z", "[". `mod` is Ctrl, or Command on a Mac. Shift is named only
 * with letters and named keys; a sign like "?" already says which key it takes.
 */

/**
 * @param {{key: string, code: string, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean, altKey: boolean}} event
 * @returns {string}
 */
export function comboOf(event) {
  // On a Cyrillic or Greek layout the letter keys still sit where their Latin names are.
  const latin = /^Key[A-Z]$/.test(event.code) && !/^[\x20-\x7e]$/.test(event.key);
  const key = (latin ? event.code.slice(3) : event.key).toLowerCase();
  const parts = [];
  if (event.shiftKey && (/^[a-z]$/.test(key) || key.length > 1)) parts.push("shift");
  if (event.altKey) parts.push("alt");
  if (event.ctrlKey || event.metaKey) parts.push("mod");
  return [...parts, key].join("+");
}

const NAMES = /** @type {Record<string, string>} */ ({
  shift: "Shift",
  alt: "Alt",
  escape: "Esc",
  delete: "Del",
  enter: "Enter",
  tab: "Tab",
  backspace: "⌫",
  " ": "Space",
  arrowleft: "←",
  arrowright: "→",
  arrowup: "↑",
  arrowdown: "↓",
});

/**
 * @param {string} combo
 * @param {boolean} mac
 * @returns {string[]} the keys as they are written on a keyboard, in the order people say them
 */
export function keyCaps(combo, mac) {
  const parts = combo === "+" ? ["+"] : combo.split("+");
  const mod = parts.includes("mod") ? [mac ? "⌘" : "Ctrl"] : [];
  const rest = parts.filter((part) => part !== "mod");
  return [...mod, ...rest.map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part))];
}
