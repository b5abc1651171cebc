/**
 * The page's own side of project files, for the server's tests.
 *
 *     node page.js pack FILE LABELS.json PHOTO.jpg PICTURE.png   writes a painting as a project
 *     node page.js read FILE                                     prints what the page sees in one, as JSON
 */
import { readFile, writeFile } from "node:fs/promises";
import { LabelDocument } from "../../static/js/document/document.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { HOLE } from "../../static/js/document/layers.js";
import { packProject, readProject } from "../../static/js/document/project.js";

const [WIDTH, HEIGHT] = [24, 16];
const WHEN = Date.UTC(2026, 10, 20);

/** @param {(i: number) => number} value */
function plane(value) {
  const map = createMap(WIDTH, HEIGHT);
  for (let i = 0; i < map.data.length; i++) map.data[i] = value(i);
  return map;
}

/** @param {string} file @param {string} labels @param {string} photo @param {string} picture */
async function pack(file, labels, photo, picture) {
  const base = plane((i) => i % 17);
  const upper = plane((i) => (i % 3 ? HOLE : i % 5));
  const document = new LabelDocument({
    id: "mine",
    title: "Ein See & mehr",
    map: base,
    layers: [
      { id: "a", name: "Base", visible: true, locked: false, map: base },
      { id: "b", name: "Bäume", visible: false, locked: true, map: upper },
    ],
    labelSet: JSON.parse(await readFile(labels, "utf8")),
    seed: 4294967295,
    style: "dusk",
    code: [0.1, -1.25],
    regions: [{ title: "", style: null, code: [3, 4.5] }],
    styles: plane((i) => i % 2),
    source: {
      blob: new Blob([Uint8Array.from(await readFile(photo))], { type: "image/jpeg" }),
      width: WIDTH,
      height: HEIGHT,
      map: base,
    },
    edits: plane((i) => (i % 7 ? 0 : 1)),
  });
  const bytes = new Uint8Array(await readFile(picture));
  const beside = {
    model: { id: "landscape", name: "Landscape" },
    photo: bytes,
    photoOf: { model: "landscape", seed: 4294967295 },
    thumbnail: bytes,
    created: WHEN,
    updated: WHEN,
    app: "0.1.0",
  };
  await writeFile(file, await packProject(document, beside));
}

/** @param {string} file */
async function read(file) {
  let ids = 0;
  const project = await readProject(new Uint8Array(await readFile(file)), () => `id${ids++}`);
  const { photo, thumbnail, painting, ...beside } = project;
  const { source, ...rest } = painting;
  const plain = (/** @type {string} */ _, /** @type {any} */ value) =>
    value instanceof Uint8Array ? [...value] : value;
  const said = { ...beside, ...rest, type: source?.blob.type, seen: source?.map };
  process.stdout.write(JSON.stringify(said, plain));
}

const [command, ...files] = process.argv.slice(2);
await (command === "pack" ? pack(files[0], files[1], files[2], files[3]) : read(files[0]));
