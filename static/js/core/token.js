/**
 * A token that came with a link, `https://host/#token=sb_…`: what stands behind the `#` stays in the browser and is in no
 * log. Pure.
 */

/**
 * @param {string} hash of an address, with its `#`; "" for none
 * @returns {{token: string, rest: string}} `token`: "" where there is none; `rest`: the hash without it
 */
export function splitToken(hash) {
  const parts = hash.replace(/^#/, "").split("&");
  const named = parts.find((part) => part.startsWith("token="));
  if (named === undefined) return { token: "", rest: hash };
  const rest = parts.filter((part) => !part.startsWith("token=")).join("&");
  return { token: decoded(named.slice("token=".length)), rest: rest && `#${rest}` };
}

/**
 * @param {string} pasted a token, with blanks around it perhaps, or the link that it came in
 * @returns {string}
 */
export function tokenOf(pasted) {
  const text = pasted.trim();
  const at = text.indexOf("#");
  return (at >= 0 && splitToken(text.slice(at)).token) || text;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text).trim();
  } catch {
    return text; // a stray percent sign: the server will say that it knows no such token
  }
}
