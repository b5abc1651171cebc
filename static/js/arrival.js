/**
 * What came with the address. A token is taken out of it as the very first thing that the page does, so that it stays in no
 * history, no screenshot and no link that is copied from here.
 */
import { splitToken } from "./core/token.js";

let token = takenFromAddress();

/** @returns {string} the token that came with the address, once; "" where none did */
export function arrivedToken() {
  const arrived = token || takenFromAddress();
  token = "";
  return arrived;
}

function takenFromAddress() {
  const { token: found, rest } = splitToken(location.hash);
  // Also an empty one.
  if (rest !== location.hash) {
    history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
  }
  return found;
}
