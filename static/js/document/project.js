/**
 * A painting as one file, `NAME.scenebrush`: a zip of `project.json` and PNGs, which docs/keeping.md describes. Layers
 * and planes are 8-bit palette PNGs of raw numbers. Reading is strict: what is not as it should be is refused whole.
 *
 * @typedef {import("./document.js").LabelDocument} LabelDocument
 * @typedef {import("./document.js").Painting} Painting
 * @typedef {import("./document.js").Region} Region
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {import("./zip.js").Entry} Entry
 * @typedef {{id: string, name: string}} ModelName
 * @typedef {{model: string, seed: number}} PhotoOf
 * @typedef {{model: ModelName | null, photo: Uint8Array | null, photoOf: PhotoOf | null, thumbnail: Uint8Array | null,
 *   created: number, updated: number, app: string}} Beside what a project holds beside the painting; pictures are PNGs,
 *   times are milliseconds
 * @typedef {Beside & {painting: Painting}} Project its painting has an id of its own, that of nothing kept before
 */
import { DocumentError } from "./errors.js";
import { exportPlane, paletteOf } from "./exchange.js";
import { countLabels } from "./labelmap.js";
import { HOLE, MAX_LAYERS } from "./layers.js";
import { decodePng, encodePng } from "./png.js";
import { unzip, zip } from "./zip.js";

export const PROJECT_TYPE = "application/x-scenebrush+zip";
export const PROJECT_ENDING = ".scenebrush";

const FORMAT = "scenebrush-project";
const VERSION = 1;
/** 32 layers of the largest canvas, three planes and a large photo fit; what inflates to more is refused. */
const LIMITS = { maxFiles: MAX_LAYERS + 16, maxBytes: 256 * 1024 * 1024 };
const MAX_SIDE = 4096;
const MAX_REGIONS = 15;
const MAX_CODE = 4096;
const MAX_TEXT = 200;
const MAX_SEED = 2 ** 63;
const SOURCES = /** @type {Record<string, string>} */ ({
  "image/png": "source.png",
  "image/jpeg": "source.jpg",
  "image/webp": "source.webp",
});

/**
 * @param {LabelDocument} document
 * @param {Beside} beside
 * @returns {Promise<Uint8Array>}
 */
export async function packProject(document, beside) {
  const { layers, styles, edits, source, labelSet } = document;
  const palette = paletteOf(labelSet);
  /** @type {Entry[]} */
  const files = [];
  const put = (/** @type {string} */ name, /** @type {Uint8Array | null} */ bytes) => {
    if (!bytes) return null;
    files.push({ name, bytes, stored: true });
    return name;
  };
  const listed = [];
  for (const [i, { name, visible, locked, map }] of layers.entries()) {
    listed.push({ name, visible, locked, file: put(`layers/${i}.png`, await encodePng(map, palette)) });
  }
  const project = {
    ...headOf(document, beside),
    layers: listed,
    style_plane: put("styles.png", styles.data.some(Boolean) ? await exportPlane(styles) : null),
    edit_plane: put("edits.png", edits?.data.some(Boolean) ? await exportPlane(edits) : null),
    source: source && put(SOURCES[source.blob.type] ?? "source.png", await bytesOf(source.blob)),
    source_map: source && put("source-map.png", await encodePng(source.map, palette)),
    photo: put("photo.png", beside.photo),
    photo_of: beside.photo && beside.photoOf,
    thumbnail: put("thumbnail.png", beside.thumbnail),
  };
  const json = { name: "project.json", bytes: new TextEncoder().encode(JSON.stringify(project)) };
  return zip([json, ...files], beside.updated);
}

/** @param {LabelDocument} document @param {Beside} beside */
function headOf({ title, map, labelSet, light, regions }, { app, model, created, updated }) {
  const { hash, name, ignore, labels } = labelSet;
  const { seed, style, code } = light;
  return {
    format: FORMAT,
    version: VERSION,
    app,
    title,
    width: map.width,
    height: map.height,
    label_set: { hash, name, ignore, labels },
    model,
    light: { seed, style, code },
    regions,
    created: new Date(created).toISOString(),
    updated: new Date(updated).toISOString(),
  };
}

/**
 * @param {Uint8Array} bytes a file
 * @param {() => string} newId
 * @returns {Promise<Project>}
 * @throws {DocumentError} naming what is wrong; nothing of a wrong project is used
 */
export async function readProject(bytes, newId) {
  const files = unzip(bytes, LIMITS);
  const json = parse(files.get("project.json"));
  const labelSet = readLabelSet(json.label_set);
  const size = { width: whole(json.width, 1, MAX_SIDE), height: whole(json.height, 1, MAX_SIDE) };
  const plane = (/** @type {unknown} */ name) => readPlane(fileOf(files, name), size);
  const { light } = json;
  const regions = list(json.regions, MAX_REGIONS).map(readRegion);
  const layers = await readLayers(json.layers, labelSet, plane, newId);
  const source = await readSource(json, files, labelSet, plane);
  const painting = {
    id: newId(),
    title: text(json.title) || "Painting",
    map: layers[0].map,
    layers,
    labelSet,
    seed: whole(light?.seed, 0, MAX_SEED),
    style: textOrNull(light.style),
    code: codeOrNull(light.code),
    regions,
    styles: json.style_plane ? upTo(await plane(json.style_plane), regions.length, "styles") : null,
    source,
    edits: source && json.edit_plane ? upTo(await plane(json.edit_plane), 1, "edits") : null,
    touched: true,
  };
  return {
    painting,
    model: json.model ? { id: text(json.model.id), name: text(json.model.name) } : null,
    photo: json.photo ? fileOf(files, json.photo) : null,
    photoOf: json.photo_of
      ? { model: text(json.photo_of.model), seed: whole(json.photo_of.seed, 0, MAX_SEED) }
      : null,
    thumbnail: json.thumbnail ? fileOf(files, json.thumbnail) : null,
    created: time(json.created),
    updated: time(json.updated),
    app: text(json.app ?? ""),
  };
}

/**
 * The painting that a PNG of ours carries in its text `scenebrush` (server/provenance.py).
 *
 * @param {string} said JSON
 * @param {() => string} newId
 * @returns {Promise<{painting: Painting, model: string} | null>} null where it carries no label map, or shows an edited photo
 * @throws {DocumentError} when what it carries is not as it should be
 */
export async function readPicture(said, newId) {
  /** @type {any} */
  let json = null;
  try {
    json = JSON.parse(said);
  } catch {
    return null;
  }
  if (
    json?.format !== "scenebrush-picture" ||
    json.version !== 1 ||
    json.origin !== "generated" ||
    !json.map
  ) {
    return null;
  }
  const labelSet = readLabelSet(json.label_set);
  const map = await readCarried(json.map);
  const [layer] = await readLayers(
    [{ name: "", visible: true, locked: false }],
    labelSet,
    async () => map,
    newId,
  );
  const regions = list(json.styles ?? [], MAX_REGIONS).map((code) => readRegion({ code }));
  const styles = json.style_map ? await readCarried(json.style_map) : null;
  if (styles && (styles.width !== map.width || styles.height !== map.height)) {
    throw wrong("Its planes are not of one size.");
  }
  return {
    model: text(json.model),
    painting: {
      id: newId(),
      title: "",
      map,
      layers: [layer],
      labelSet,
      seed: whole(json.seed, 0, MAX_SEED),
      style: textOrNull(json.style_id),
      code: json.style?.length ? codeOrNull(json.style) : null,
      regions,
      styles: styles && upTo(styles, regions.length, "styles"),
      touched: true,
    },
  };
}

/** @param {unknown} base64 of a palette PNG @returns {Promise<LabelMap>} */
async function readCarried(base64) {
  if (typeof base64 !== "string") throw wrong("What it carries cannot be read.");
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const { kind, width, height, data } = await decodePng(bytes, { maxPixels: MAX_SIDE * MAX_SIDE });
  if (kind !== "ids") throw wrong("What it carries cannot be read.");
  return { width, height, data };
}

/** @param {Uint8Array | undefined} bytes */
function parse(bytes) {
  /** @type {any} */
  let json = null;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw notOurs();
  }
  if (json?.format !== FORMAT) throw notOurs();
  if (json.version !== VERSION) {
    throw new DocumentError(
      "This project was saved by another version.",
      "It has the version {version}; this page reads version {known}.",
      "Open it with a newer Scenebrush, or save it again there.",
      { version: String(json.version).slice(0, 20), known: VERSION },
    );
  }
  return json;
}

/**
 * @param {unknown} given
 * @param {LabelSet} set
 * @param {(name: unknown) => Promise<LabelMap>} plane
 * @param {() => string} newId
 * @returns {Promise<Layer[]>}
 */
async function readLayers(given, set, plane, newId) {
  const ids = new Set(set.labels.map(({ id }) => id));
  /** @type {Layer[]} */
  const layers = [];
  for (const [i, layer] of list(given, MAX_LAYERS).entries()) {
    const map = await plane(layer?.file);
    const counts = countLabels(map.data);
    const unknown = counts.findIndex((count, id) => count > 0 && !ids.has(id) && !(i > 0 && id === HOLE));
    if (unknown >= 0) {
      throw wrong("Layer {layer} uses the number {id}, for which its label set has no label.", {
        layer: i + 1,
        id: unknown,
      });
    }
    const { name, visible, locked } = layer;
    layers.push({ id: newId(), name: text(name), visible: Boolean(visible), locked: Boolean(locked), map });
  }
  if (layers.length === 0) throw wrong("It has no layer.");
  return layers;
}

/**
 * @param {any} json
 * @param {Map<string, Uint8Array>} files
 * @param {LabelSet} set
 * @param {(name: unknown) => Promise<LabelMap>} plane
 * @returns {Promise<import("./document.js").Source | null>} with the map's size: only who decodes the photo knows its own
 */
async function readSource(json, files, set, plane) {
  if (!json.source) return null;
  const [type] = Object.entries(SOURCES).find(([, name]) => name === json.source) ?? [];
  if (!type) throw wrong("The photo in it is of an unknown kind.");
  const bytes = fileOf(files, json.source);
  const map = await plane(json.source_map);
  const ids = new Set(set.labels.map(({ id }) => id));
  if (!map.data.every((id) => ids.has(id)))
    throw wrong("What was seen in its photo is of another label set.");
  const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)], { type });
  return { blob, width: map.width, height: map.height, map };
}

/** @param {any} region @returns {Region} */
function readRegion(region) {
  const code = codeOrNull(region?.code);
  if (!code) throw wrong("One of its lights has no style code.");
  return { title: textOrNull(region.title) ?? "", style: textOrNull(region.style), code };
}

/** @param {any} set @returns {LabelSet} */
function readLabelSet(set) {
  const labels = list(set?.labels, HOLE).map((label) => ({
    id: whole(label?.id, 0, HOLE - 1),
    name: text(label.name),
    color: /** @type {import("./labelset.js").Color} */ (
      list(label.color, 3).map((value) => whole(value, 0, 255))
    ),
    group: text(label.group ?? ""),
    ...(label.concepts && { concepts: list(label.concepts, 32).map((one) => text(one)) }),
  }));
  const ids = new Set(labels.map(({ id }) => id));
  if (labels.length === 0 || ids.size < labels.length || labels.some(({ color }) => color.length < 3)) {
    throw wrong("Its label set is not complete.");
  }
  const ignore = set.ignore === null || set.ignore === undefined ? null : whole(set.ignore, 0, HOLE - 1);
  return { hash: textOrNull(set.hash), name: text(set.name), ignore, labels };
}

/**
 * @param {Uint8Array} bytes
 * @param {{width: number, height: number}} size
 * @returns {Promise<LabelMap>}
 */
async function readPlane(bytes, { width, height }) {
  const image = await decodePng(bytes, { maxPixels: width * height });
  if (image.kind !== "ids" || image.width !== width || image.height !== height) {
    throw wrong("One of its parts is not a palette PNG of {width} × {height} pixels.", { width, height });
  }
  return { width, height, data: image.data };
}

/** @param {Map<string, Uint8Array>} files @param {unknown} name */
function fileOf(files, name) {
  const bytes = typeof name === "string" ? files.get(name) : undefined;
  if (!bytes) throw wrong("It lacks its part “{name}”.", { name: String(name).slice(0, 60) });
  return bytes;
}

/** @param {LabelMap} plane @param {number} most @param {string} name */
function upTo(plane, most, name) {
  if (plane.data.some((value) => value > most))
    throw wrong("Its plane of {name} has numbers above {most}.", { name, most });
  return plane;
}

/** @param {unknown} value @param {number} most @returns {any[]} */
function list(value, most) {
  if (!Array.isArray(value) || value.length > most)
    throw wrong("A list in it has more than {most} parts.", { most });
  return value;
}

/** @param {unknown} value @param {number} least @param {number} most @returns {number} */
function whole(value, least, most) {
  if (!Number.isInteger(value) || Number(value) < least || Number(value) > most) {
    throw wrong("A number in it is not between {least} and {most}.", { least, most });
  }
  return Number(value);
}

/** @param {unknown} value @returns {string} */
function text(value) {
  if (typeof value !== "string") throw wrong("A name in it is missing.");
  return value.slice(0, MAX_TEXT);
}

/** @param {unknown} value */
function textOrNull(value) {
  return value === null || value === undefined ? null : text(value);
}

/** @param {unknown} value @returns {number[] | null} */
function codeOrNull(value) {
  if (value === null || value === undefined) return null;
  const code = list(value, MAX_CODE);
  if (code.length === 0 || !code.every((one) => Number.isFinite(one))) {
    throw wrong("A style code in it is no list of numbers.");
  }
  return code;
}

/** @param {unknown} value ISO 8601; a wrong one is no reason to refuse a painting */
function time(value) {
  return Date.parse(String(value)) || 0;
}

/** @param {Blob} blob */
async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

function notOurs() {
  return new DocumentError(
    "This file is not a Scenebrush project.",
    "It is a zip file without a readable project.json.",
    "Open a file that ends in {ending}.",
    { ending: PROJECT_ENDING },
  );
}

/** @param {string} why @param {import("./errors.js").Values} [values] */
function wrong(why, values) {
  return new DocumentError(
    "This project cannot be opened.",
    why,
    "Save it again where it came from; nothing here has changed.",
    values,
  );
}
