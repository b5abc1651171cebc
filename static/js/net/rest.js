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

const PROBLEM_URN = "urn:scenebrush:problem:";
/** Problems that signing in mends; there are other 401s, such as that of a share's own token. */
const TOKEN_CODES = ["token-needed", "token-unknown"];

/** What the server answered, when it was no. */
export class ServerError extends Error {
  /**
   * @param {string} what
   * @param {string} why
   * @param {string} next
   * @param {{status?: number, retryAfter?: number, code?: string}} [http] status 0: it was not reached; `retryAfter` in
   *   whole seconds, which texts name as {seconds}; `code`: of the problem
   */
  constructor(what, why, next, { status = 0, retryAfter = 0, code = "" } = {}) {
    const seconds = Math.ceil(retryAfter);
    const [filledWhat, filledWhy, filledNext] = [what, why, next].map((text) =>
      text.replace("{seconds}", String(seconds)),
    );
    super([filledWhat, filledWhy, filledNext].filter(Boolean).join(" "));
    this.name = "ServerError";
    this.what = filledWhat;
    this.why = filledWhy;
    this.next = filledNext;
    /** As the texts were before, for whoever shows them in another language. */
    this.said = { what, why, next, values: { seconds } };
    this.status = status;
    this.retryAfter = retryAfter;
    this.code = code;
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
  throw refusalOf(response, await response.json().catch(() => ({})));
}

/**
 * What a painter meets on a server that has a limit the page says itself, in the painter's language.
 *
 * @param {Response} response
 * @param {any} problem what it says of itself; a proxy before the server may say nothing
 * @returns {ServerError}
 */
function refusalOf({ status, headers }, problem) {
  const code = String(problem.type ?? "").replace(PROBLEM_URN, "");
  const retryAfter = Number(headers.get("retry-after")) || 0;
  const http = { status, retryAfter, code };
  const later = retryAfter > 0 ? "Keep painting; try again in {seconds} s." : "Try again in a moment.";
  if (TOKEN_CODES.includes(code)) {
    return new ServerError(
      "This studio needs a token.",
      "You are not signed in.",
      "Sign in from the menu, and try again.",
      http,
    );
  }
  if (status === 429) {
    return new ServerError(
      "The server asks for a little patience.",
      "A lot has been asked of it from here in a short time.",
      later,
      http,
    );
  }
  if (status === 503 && code === "busy") {
    return new ServerError("The server is busy.", "Many are painting there at the moment.", later, http);
  }
  const { title = `The server answered ${status}.`, detail = "", next = later } = problem;
  return new ServerError(title, detail, next, http);
}

/** @param {unknown} error @returns {boolean} whether the server would have answered somebody with a token */
export function refusesToken(error) {
  return error instanceof ServerError && TOKEN_CODES.includes(error.code);
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
