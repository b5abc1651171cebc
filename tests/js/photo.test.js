/** Photo editing and selections as the studio does them, without a browser: ports that answer when the test says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelDocument } from "../../static/js/document/document.js";
import { exportMap, importMap } from "../../static/js/document/exchange.js";
import { createMap } from "../../static/js/document/labelmap.js";
import { PhotoEditing } from "../../static/js/ui/photo.js";
import { copySelected, paste } from "../../static/js/ui/selecting.js";
import { Studio } from "../../static/js/ui/studio.js";
import { PhotoView } from "../../static/js/view/photo.js";
import { LANDSCAPE } from "./helpers.js";

const SIDE = 32;
const CODE = [1, 2];
const MODEL = {
  id: "m",
  name: "M",
  licence: "",
  native_width: SIDE,
  native_height: SIDE,
  largest_width: null,
  largest_height: null,
  max_side: 1024,
  max_pixels: 1 << 20,
  style_dim: 2,
  styles: [{ id: "dusk", title: "Dusk", code: [3, 4] }],
  styles_by_region: true,
  encodes_styles: true,
  label_set: LANDSCAPE,
};

/** A promise and its end. */
function later() {
  let end = /** @type {(value: any) => void} */ (() => {});
  const promise = new Promise((resolve) => {
    end = resolve;
  });
  return { promise, end };
}

/**
 * All that is already decided happens.
 *
 * @param {() => boolean} [also] what is waited for besides, however busy the machine is
 */
async function calm(also = () => true) {
  for (let round = 0; round === 0 || (!also() && round < 500); round++) {
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

function bench() {
  const said = /** @type {string[]} */ ([]);
  const ignored = () => {};
  const studio = new Studio(
    /** @type {any} */ ({
      changed: (/** @type {any} */ change) => photo.changed(change),
      say: (/** @type {any} */ { what }) => said.push(what),
      keep: ignored,
      forget: ignored,
      made: ignored,
      paintSmall: async (/** @type {any} */ { seed, style }) => ({
        code: style ?? [seed, seed],
        picture: "",
      }),
    }),
  );
  studio.setModels([MODEL]);
  /** What was asked of the server. @type {{edit: any, signal: AbortSignal | undefined, end: (blob: Blob) => void}[]} */
  const edits = [];
  const settled = /** @type {(Blob | null)[]} */ ([]);
  const shows = /** @type {(() => void)[]} */ ([]);
  const segments = /** @type {((value: any) => void)[]} */ ([]);
  const photo = new PhotoEditing(
    studio,
    /** @type {any} */ ({
      sizeOf: async () => ({ width: SIDE, height: SIDE }),
      reduced: async (/** @type {Blob} */ blob) => blob,
      segment: () => {
        const { promise, end } = later();
        segments.push(end);
        return promise;
      },
      styleOf: async () => ({ style: CODE }),
      edit: (/** @type {any} */ edit, /** @type {AbortSignal | undefined} */ signal) => {
        const { promise, end } = later();
        edits.push({ edit, signal, end });
        return promise;
      },
      show: () => {
        const { promise, end } = later();
        shows.push(() => end(undefined));
        return promise;
      },
      cover: ignored,
      share: ignored,
      settle: async (/** @type {Blob | null} */ picture) => void settled.push(picture),
    }),
  );
  const open = (
    /** @type {Partial<import("../../static/js/document/document.js").Painting>} */ more = {},
  ) => {
    const seen = createMap(SIDE, SIDE, 1);
    studio.startPhoto({
      id: `p${Math.random()}`,
      title: "Photo",
      map: { ...seen, data: seen.data.slice() },
      labelSet: LANDSCAPE,
      seed: 5,
      code: CODE,
      source: { blob: new Blob(["photo"]), width: SIDE, height: SIDE, map: seen },
      ...more,
    });
    photo.follow(studio.document);
    return studio.document;
  };
  return { studio, photo, said, edits, settled, shows, segments, open };
}

/** @param {LabelDocument} document @param {number} value @param {number} y @param {"labels" | "edits" | "styles"} [plane] */
function paintRow(document, value, y, plane = "labels") {
  const gesture = document.begin(value, plane);
  gesture.span(y, 0, SIDE);
  gesture.commit();
}

test("what is painted while changes are put together is painted on the photo that comes", async () => {
  const { studio, photo, edits, open } = bench();
  const before = open();
  paintRow(before, 5, 3);
  const applied = photo.apply();
  photo.apply();
  await calm(() => edits.length > 0);
  assert.equal(edits.length, 1, "asked once, however often the button is pressed");
  paintRow(before, 6, 10);
  paintRow(before, 1, 20, "edits");
  edits[0].end(new Blob(["finished"]));
  await applied;
  const { document } = studio;
  assert.notEqual(document, before);
  assert.equal(document.source?.map.data[3 * SIDE], 5, "part of the photo");
  assert.equal(document.source?.map.data[10 * SIDE], 1, "not yet part of the photo");
  assert.equal(document.map.data[10 * SIDE], 6, "still painted");
  assert.equal(document.edits?.data[20 * SIDE], 1);
  const sent = await importMap(edits[0].edit.newMap, LANDSCAPE);
  assert.deepEqual(
    sent.data,
    document.source?.map.data,
    "the labels that were sent are those that are seen now",
  );
});

test("changes that are ready when another painting is on the easel do not push it off", async () => {
  const { studio, photo, edits, open } = bench();
  paintRow(open(), 5, 3);
  const applied = photo.apply();
  await calm(() => edits.length > 0);
  const other = open();
  edits[0].end(new Blob(["finished"]));
  await applied;
  assert.equal(studio.document, other);
});

test("of two photos that are opened at once the last one comes onto the easel", async () => {
  const { studio, photo, segments } = bench();
  const map = await exportMap(createMap(SIDE, SIDE, 1), LANDSCAPE);
  const [first, second] = [photo.open(new Blob(["a"]), "First"), photo.open(new Blob(["b"]), "Second")];
  await calm();
  segments[1]({ map });
  await second;
  segments[0]({ map });
  await first;
  assert.equal(studio.document.title, "Second");
});

test("a look that was asked for before another one is not shown after it", async () => {
  const { photo, edits, settled, shows, open } = bench();
  const document = open();
  shows[0]();
  await photo.ready;
  paintRow(document, 5, 3);
  photo.settled();
  await new Promise((resolve) => setTimeout(resolve, 700));
  // Another model paints the same painting: nothing of it has changed, and its picture is shown.
  photo.settled();
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(edits.length, 2);
  const [early, late] = [new Blob(["early"]), new Blob(["late"])];
  edits[1].end(late);
  edits[0].end(early);
  await calm();
  assert.ok(edits[0].signal?.aborted);
  assert.equal(settled.at(-1), late);
  assert.ok(!settled.includes(early));
  assert.equal(photo.finished, late);
  paintRow(document, 6, 4);
  assert.equal(photo.finished, null);
});

test("an edit in a seed's own light is asked for in that light, as the page shows it", async () => {
  const { photo, edits, open } = bench();
  const document = open();
  paintRow(document, 5, 3);
  document.setSeed(9);
  photo.export(document, { format: "png" });
  await calm();
  assert.deepEqual(edits[0].edit.style, [9, 9]);
});

test("another try changes the seed where something is painted or selected, and else says that nothing is", () => {
  const { photo, said, open } = bench();
  const document = open();
  said.length = 0;
  photo.another();
  assert.deepEqual([document.seed, said], [5, ["Nothing of the photo is changed yet."]]);
  document.selection = createMap(SIDE, SIDE, 1);
  photo.another();
  assert.notEqual(document.seed, 5);
  assert.ok(document.edits?.data.every((one) => one === 1));
  assert.deepEqual([document.undo(), document.undo(), document.undo()], [true, true, false]);
  assert.ok(document.edits?.data.every((one) => one === 0));
  assert.equal(document.seed, 5);
});

test("over a photo lights for parts are not painted: its edits have one", () => {
  const { studio, open } = bench();
  const regions = [{ title: "Dusk", style: "dusk", code: [3, 4] }];
  const styles = createMap(SIDE, SIDE, 1);
  assert.deepEqual(studio.lightsFor(open({ regions, styles })).codes, []);
  assert.deepEqual(studio.lightsFor(open({ regions, styles, source: null })).codes, [[3, 4]]);
});

test("a copy of lights holds lights alone, and is pasted as the same ones where the painting has them", () => {
  const { studio, open } = bench();
  const [dusk, noon] = [
    { title: "Dusk", style: "dusk", code: [3, 4] },
    { title: "Noon", style: null, code: [7, 7] },
  ];
  const first = open({ source: null, regions: [dusk, noon] });
  studio.paintLight(1);
  studio.select(createMap(SIDE, SIDE, 1));
  assert.ok(copySelected(studio));
  paste(studio);
  studio.hand.settle();
  assert.ok(
    first.styles.data.every((number) => number === 0),
    "where only the painting's own light falls no label is copied instead",
  );
  paintRow(first, 1, 3, "styles");
  paintRow(first, 2, 4, "styles");
  copySelected(studio);
  const second = open({ source: null, regions: [noon] });
  paste(studio);
  studio.hand.settle();
  assert.equal(second.styles.data[3 * SIDE], 0, "this painting has no dusk");
  assert.equal(second.styles.data[4 * SIDE], 1, "noon has another number here");
});

test("marks of a photo are not pasted where there is none", () => {
  const { studio, said, open } = bench();
  paintRow(open(), 1, 3, "edits");
  studio.setPlane("anew");
  studio.select(createMap(SIDE, SIDE, 1));
  copySelected(studio);
  open({ source: null });
  said.length = 0;
  paste(studio);
  assert.equal(studio.state.plane, "labels");
  assert.deepEqual(said, ["There is no photo under this painting."]);
});

test("a light that was rolled for a part is not the whole picture's when it comes after labels", async () => {
  const { studio, open } = bench();
  const document = open({ source: null });
  const answers = /** @type {((painted: any) => void)[]} */ ([]);
  studio.ports.paintSmall = () => {
    const { promise, end } = later();
    answers.push(end);
    return promise;
  };
  studio.paintLight(0);
  const rolled = studio.lights.roll();
  await calm(() => answers.length > 0);
  studio.cancel();
  answers[0]({ code: [8, 8], picture: "" });
  await rolled;
  assert.deepEqual([document.code, document.regions.length], [CODE, 0]);

  studio.paintLight(0);
  const again = studio.lights.roll();
  await calm();
  answers[1]({ code: [8, 8], picture: "" });
  await again;
  assert.deepEqual([document.code, document.regions[0]?.code], [CODE, [8, 8]]);
});

test("a style that was let go of stays so, whatever was wished for before", async () => {
  const { studio, open } = bench();
  const document = open({ source: null, code: null, style: "dusk" });
  const { promise, end } = later();
  studio.ports.paintSmall = () => promise;
  studio.lockSeed(true);
  const rolled = studio.lights.roll();
  await studio.lights.toggle("dusk");
  await calm();
  end({ code: [8, 8], picture: "" });
  await rolled;
  assert.deepEqual([document.style, document.code], [null, null]);
});

test("a picture that is decoded after a newer one is not shown", async () => {
  const decoding = /** @type {((bitmap: any) => void)[]} */ ([]);
  const closed = /** @type {string[]} */ ([]);
  const bitmap = (/** @type {string} */ name) => ({
    name,
    width: 1,
    height: 1,
    close: () => closed.push(name),
  });
  const drawn = /** @type {string[]} */ ([]);
  const { createImageBitmap } = globalThis;
  globalThis.createImageBitmap = /** @type {any} */ (
    () => {
      const { promise, end } = later();
      decoding.push(end);
      return promise;
    }
  );
  try {
    const context = { drawImage: (/** @type {any} */ { name }) => drawn.push(name) };
    const view = new PhotoView(/** @type {any} */ ({ getContext: () => context, width: 1, height: 1 }));
    const [live, stored] = [new Uint8Array(1), new Uint8Array(2)].map((bytes) => view.show(bytes, "png"));
    decoding[1](bitmap("stored"));
    await stored;
    decoding[0](bitmap("live"));
    await live;
    assert.deepEqual(drawn, ["stored"]);
    assert.deepEqual(closed, ["live"]);
  } finally {
    globalThis.createImageBitmap = createImageBitmap;
  }
});

test("a preview of fewer pixels is shown as large as the whole picture, which then replaces it", async () => {
  const { createImageBitmap } = globalThis;
  const sizes = [8, 4, 8, 16];
  globalThis.createImageBitmap = /** @type {any} */ (
    async () => {
      const side = sizes.shift();
      return { width: side, height: side, close: () => {} };
    }
  );
  try {
    const drawn = /** @type {number[][]} */ ([]);
    const resized = /** @type {number[]} */ ([]);
    const context = {
      drawImage: (/** @type {any} */ { width }, /** @type {number[]} */ ...at) => drawn.push([width, ...at]),
    };
    const canvas = {
      getContext: () => context,
      get width() {
        return resized.at(-1) ?? 1;
      },
      set width(to) {
        resized.push(to);
      },
      height: 1,
    };
    const view = new PhotoView(/** @type {any} */ (canvas));
    const whole = { width: 8, height: 8 };
    for (let i = 0; i < 3; i++) await view.show(new Uint8Array(1), "jpeg", whole);
    assert.deepEqual(drawn, [
      [8, 0, 0, 8, 8],
      [4, 0, 0, 8, 8],
      [8, 0, 0, 8, 8],
    ]);
    assert.deepEqual(resized, [8], "the canvas keeps its size");
    await view.show(new Uint8Array(1), "png");
    assert.deepEqual(resized, [8, 16], "a picture that came with a painting has its own");
  } finally {
    globalThis.createImageBitmap = createImageBitmap;
  }
});
