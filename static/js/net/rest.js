/**
 * The few plain requests that the page makes.
 *
 * @typedef {{id: number, name: string, color: [number, number, number], group: string, concepts?: string[]}} Label
 * @typedef {{
 *   id: string, name: string, default: boolean, architecture: string, licence: string,
 *   stride: number, native_width: number, native_height: number, largest_width: number | null,
 *   largest_height: number | null, style_dim: number, styles: {id: string, title: string, code: number[]}[],
 *   instance_edges: boolean, max_side: number, max_pixels: number,
 *   label_set: {hash: string, name: string, ignore: number | null, labels: Label[]},
 * }} Model
 * @typedef {{mask: Uint8Array, model: string, seed: number, style: readonly number[] | null,
 *   styles?: (readonly number[])[], styleMap?: Uint8Array | null}} Wanted `mask` and `styleMap` are PNGs; without a style
 *   code the seed sets the light; `styles[k - 1]` is the code where the style map is k
 */

/** What the server answered, when it was no. */
export class ServerError extends Error {
  /**
   * @param {string} what
   * @param {string} why
   * @param {string} next
   * @param {{status?: number, retryAfter?: number}} [http] 0: it was not reached; `retryAfter` in seconds
   */
  constructor(what, why, next, { status = 0, retryAfter = 0 } = {}) {
    super(`${what} ${why} ${next}`);
    this.name = "ServerError";
    this.what = what;
    this.why = why;
    this.next = next;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 * @throws {ServerError}
 */
export async function request(url, init) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, init);
  } catch {
    throw new ServerError(
      "The server cannot be reached.",
      "It may be stopped or restarting.",
      "Keep painting; try again in a moment.",
    );
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ServerError(
    problem.title ?? `The server answered ${response.status}.`,
    problem.detail ?? "",
    problem.next ?? "Try again in a moment.",
    { status: response.status, retryAfter: Number(response.headers.get("retry-after")) || 0 },
  );
}

/**
 * @param {string} base the path that the server is mounted under, "" for none
 * @returns {Promise<{models: Model[], sharing: boolean}>} the default model first, and whether paintings can be shared
 */
export async function fetchModels(base) {
  const { models, sharing = false } = await (await request(`${base}/models`, { cache: "no-cache" })).json();
  models.sort((/** @type {Model} */ a, /** @type {Model} */ b) => Number(b.default) - Number(a.default));
  return { models, sharing };
}

/**
 * The exact picture of a label map.
 *
 * @param {string} base
 * @param {Wanted & {format?: "png" | "jpeg" | "webp", quality?: number, width?: number, height?: number,
 *   embedMap?: boolean}} wanted unless it says otherwise a PNG of the mask's size; `embedMap`: so that the PNG carries it
 * @returns {Promise<Blob>}
 */
export async function fetchPicture(base, wanted) {
  const form = formOf(wanted);
  const { format = "png", quality, width, height, embedMap } = wanted;
  for (const [name, value] of Object.entries({ format, quality, width, height, embed_map: embedMap })) {
    if (value !== undefined) form.set(name, String(value));
  }
  return (await request(`${base}/generate`, { method: "POST", body: form })).blob();
}

/**
 * A small picture, and the code of the light that it is in.
 *
 * @param {string} base
 * @param {Wanted} wanted
 * @param {AbortSignal} [signal]
 * @returns {Promise<{code: number[], picture: string}>} `picture`: a data URL
 */
export async function fetchSmall(base, wanted, signal) {
  const form = formOf(wanted);
  form.set("format", "jpeg");
  form.set("quality", "80");
  const headers = { accept: "application/json" };
  const response = await request(`${base}/generate`, { method: "POST", body: form, headers, signal });
  const { style, image, media_type } = await response.json();
  return { code: style, picture: `data:${media_type};base64,${image}` };
}

/** @param {Wanted} wanted */
function formOf({ mask, model, seed, style, styles = [], styleMap = null }) {
  const form = new FormData();
  form.set("mask", pngOf(mask), "labels.png");
  form.set("model", model);
  form.set("seed", String(seed));
  if (style) form.set("style", JSON.stringify(style));
  if (styleMap) {
    form.set("styles", JSON.stringify(styles));
    form.set("style_map", pngOf(styleMap), "styles.png");
  }
  return form;
}

/** @param {Uint8Array} bytes */
function pngOf(bytes) {
  return new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)], { type: "image/png" });
}
