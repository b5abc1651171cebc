/**
 * Signing in: a token becomes a cookie that no script can read, so the page keeps no token at all.
 *
 * @typedef {{required: boolean, signedIn: boolean, name: string | null}} Session `required`: whether the server paints for
 *   nobody else; `name`: what the token is called
 */
import { request } from "./rest.js";

/**
 * @param {string} base
 * @param {string} token
 * @throws {import("./rest.js").ServerError} with status 401 when the server knows no such token
 */
export async function postToken(base, token) {
  const headers = { "Content-Type": "application/json" };
  await request(`${base}/session`, { method: "POST", body: JSON.stringify({ token }), headers });
}

/** @param {string} base */
export async function deleteSession(base) {
  await request(`${base}/session`, { method: "DELETE" });
}

/** @param {string} base @returns {Promise<Session>} */
export async function fetchSession(base) {
  const answer = await request(`${base}/session`, { cache: "no-store" });
  const { required, signed_in: signedIn, name } = await answer.json();
  return { required, signedIn, name };
}
