/**
 * Requests that send a photo: what is on it, in which light it is, and an edited one back.
 *
 * @typedef {{map: Uint8Array, width: number, height: number, shares: {id: number, name: string, share: number}[]}} Segments
 *   `map`: a palette PNG in the model's label set
 * @typedef {{photo: Blob, model: string, map: Uint8Array, newMap: Uint8Array, region: Uint8Array, seed: number,
 *   style: readonly number[] | null, format: "png" | "webp" | "jpeg", quality?: number}} Edit `map`: the labels that the
 *   photo has, `newMap`: those that it is to have, `region`: a mask of what is painted; all of one size, as PNGs
 */
import { request } from "./rest.js";

/**
 * @param {string} base
 * @param {{photo: Blob, model: string, maxSide: number}} wanted `maxSide`: of the map, in pixels
 * @returns {Promise<Segments>}
 */
export async function fetchSegments(base, { photo, model, maxSide }) {
  const form = new FormData();
  form.set("image", photo, "photo");
  form.set("model", model);
  form.set("max_side", String(maxSide));
  const { map, ...rest } = await (await post(`${base}/segment`, form, "application/json")).json();
  return { ...rest, map: fromBase64(map) };
}

/**
 * @param {string} base
 * @param {{photo: Blob, model: string}} wanted
 * @returns {Promise<{style: number[]}>} the code of its light
 */
export async function fetchStyleOf(base, { photo, model }) {
  const form = new FormData();
  form.set("image", photo, "photo");
  form.set("model", model);
  return (await post(`${base}/styles`, form, "application/json")).json();
}

/**
 * @param {string} base
 * @param {Edit} edit
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>} of the photo's size, and the photo itself outside the region
 */
export async function fetchEdit(base, edit, signal) {
  const form = new FormData();
  form.set("image", edit.photo, "photo");
  for (const [name, bytes] of [
    ["map", edit.map],
    ["new_map", edit.newMap],
    ["region", edit.region],
  ]) {
    const png = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)], { type: "image/png" });
    form.set(/** @type {string} */ (name), png, `${name}.png`);
  }
  form.set("action", "relabel");
  form.set("model", edit.model);
  form.set("seed", String(edit.seed));
  if (edit.style) form.set("style", JSON.stringify(edit.style));
  form.set("format", edit.format);
  if (edit.quality !== undefined) form.set("quality", String(edit.quality));
  return (await post(`${base}/edit`, form, `image/${edit.format}`, signal)).blob();
}

/**
 * @param {string} url
 * @param {FormData} body
 * @param {string} accept
 * @param {AbortSignal} [signal]
 */
function post(url, body, accept, signal) {
  return request(url, { method: "POST", body, headers: { Accept: accept }, signal });
}

/** @param {string} text */
function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
