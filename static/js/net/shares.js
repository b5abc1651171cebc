/**
 * Paintings that the server keeps under a link.
 *
 * @typedef {{id: string, url: string, deleteToken: string, expires: string | null}} Share `url`: of the page, without the
 *   host; `expires`: ISO 8601
 */
import { request } from "./rest.js";

/**
 * @param {string} base
 * @param {Uint8Array} project the file
 * @param {string} type its media type
 * @returns {Promise<Share>}
 */
export async function postShare(base, project, type) {
  const body = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (project)], { type });
  const answer = await request(`${base}/shares`, { method: "POST", body, headers: { "Content-Type": type } });
  const { id, url, delete_token: deleteToken, expires } = await answer.json();
  return { id, url, deleteToken, expires };
}

/**
 * @param {string} base
 * @param {string} id
 * @returns {Promise<Uint8Array>} the project file
 */
export async function fetchShare(base, id) {
  const answer = await request(`${base}/shares/${encodeURIComponent(id)}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/**
 * @param {string} base
 * @param {{id: string, deleteToken: string}} share
 */
export async function deleteShare(base, { id, deleteToken }) {
  await request(`${base}/shares/${encodeURIComponent(id)}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${deleteToken}` },
  });
}
