/**
 * Puts the studio together: rooms know each other only through what is handed over here.
 *
 * @typedef {import("./net/protocol.js").Frame} Frame
 */
import { arrivedToken } from "./arrival.js";
import { now, perFrame } from "./core/clock.js";
import { t } from "./core/i18n.js";
import { newId } from "./core/ids.js";
import { Records } from "./core/records.js";
import { Tabs } from "./core/tabs.js";
import { bounds, readRect } from "./document/labelmap.js";
import { readScenes } from "./document/scene.js";
import { Live } from "./net/live.js";
import { Mailbox } from "./net/mailbox.js";
import { notBefore, retryDelay } from "./net/patience.js";
import { fetchEdit, fetchSegments, fetchStyleOf } from "./net/photos.js";
import { fetchModels, fetchPicture, fetchSmall, refusesToken } from "./net/rest.js";
import { deleteSession, fetchSession, postToken } from "./net/session.js";
import { deleteShare, fetchShare, postShare } from "./net/shares.js";
import { mountCanvasSize, mountNewSize } from "./ui/canvas.js";
import { byId } from "./ui/dom.js";
import { Door } from "./ui/door.js";
import { Exporting } from "./ui/exporting.js";
import { mountFiles } from "./ui/files.js";
import { Gallery } from "./ui/gallery.js";
import { mountGuide } from "./ui/guide.js";
import { mountHeldKeys } from "./ui/heldkeys.js";
import { mountHelp } from "./ui/help.js";
import { mountHint } from "./ui/hint.js";
import { Keeper } from "./ui/keeper.js";
import { mountLanguage } from "./ui/language.js";
import { mountLayers } from "./ui/layers.js";
import { mountLight } from "./ui/light.js";
import { mountMode } from "./ui/mode.js";
import { mountModels } from "./ui/models.js";
import { Notices } from "./ui/notices.js";
import { Opening } from "./ui/opening.js";
import { mountPalette } from "./ui/palette.js";
import { mountPanels } from "./ui/panels.js";
import { PhotoEditing } from "./ui/photo.js";
import { mountPhotoPanel } from "./ui/photopanel.js";
import { mountPresets } from "./ui/presets.js";
import { Sharing } from "./ui/sharing.js";
import { SignIn } from "./ui/signin.js";
import { mountSize } from "./ui/size.js";
import { mountStart } from "./ui/start.js";
import { mountStatus } from "./ui/status.js";
import { noticeOf, Studio } from "./ui/studio.js";
import { Surface } from "./ui/surface.js";
import { mountButtons, mountKeys, mountToolbars } from "./ui/toolbar.js";
import { mountToolOptions } from "./ui/tooloptions.js";
import { mountTooltip } from "./ui/tooltip.js";
import { mountViews } from "./ui/views.js";
import { Composite } from "./view/composite.js";
import { LabelView } from "./view/labels.js";
import { drawLayer } from "./view/layer.js";
import { LightsView } from "./view/lights.js";
import { Pane } from "./view/pane.js";
import { PhotoView, photoAs, pngOfPhoto, reducedPhoto, sizeOfPhoto } from "./view/photo.js";
import { Viewport } from "./view/viewport.js";

const WATCH = 1_000;
const ZOOM_STEP = 1.4;
/** Tools whose size is seen around the pointer. */
const WITH_RING = ["brush", "eraser", "line"];
/** So long the page waits to be shown whole, with everything in its place; without a server it comes as it is. */
const WHOLE_WITHIN = 1_200;
/** Milliseconds that a picture stands before a small one is made of it. */
const STANDS = 700;
/** Its longer side. */
const THUMBNAIL = 256;
/** Refusals that mean that the server's models are no longer those that the page knows. */
const STALE = ["unknown-model", "wrong-label-set", "wrong-style"];
/** The model that is painted with has been replaced: the painting is opened again with what the server has now. */
const CHANGED = "model-changed";

const base = document.querySelector('meta[name="scenebrush-base"]')?.getAttribute("content") ?? "";
/** Where a token came with the address, nothing is asked for before the server has it. */
const arrived = arrivedToken();
const posted = arrived ? postToken(base, arrived) : Promise.resolve();
/** Asked for while the page is still put together. */
const firstModels = posted.catch(() => {}).then(() => fetchModels(base));
firstModels.catch(() => {}); // told where they are awaited
const labelCanvas = byId("labels", HTMLCanvasElement);
const photoCanvas = byId("photo", HTMLCanvasElement);
const photoFrame = byId("photo-frame", HTMLElement);

const notices = new Notices(byId("notices", HTMLElement));
const labelView = new LabelView(labelCanvas);
const photoView = new PhotoView(photoCanvas);
const lightsView = new LightsView(byId("lights", HTMLCanvasElement));

/**
 * The last picture that reached the screen.
 *
 * @type {{frame: Frame, latency: number | null, painting: import("./document/document.js").LabelDocument | null} | null}
 */
let shown = null;
let framesShown = 0;

const appear = () => {
  document.body.dataset.ready = "";
};

const door = new Door({
  ask() {
    appear(); // a dialog that cannot be seen takes no focus
    signIn.show();
  },
  opened() {
    signIn.opened();
    live.connect();
  },
  refuses: refusesToken,
});

/**
 * A request of somebody's, which waits at the door while a token is needed.
 *
 * @template {unknown[]} A
 * @template R
 * @param {(base: string, ...wanted: A) => Promise<R>} request
 * @returns {(...wanted: A) => Promise<R>}
 */
const asking =
  (request) =>
  (...wanted) =>
    door.through(() => request(base, ...wanted));

const studio = new Studio({
  changed({ rect, plane, light }) {
    if (rect && plane === "labels") {
      labelView.draw(rect);
      live.mark(rect);
      // Whoever paints has arrived, and wants to see the photo.
      notices.dismiss("new", false);
    }
    if (rect && plane === "styles") {
      lightsView.draw(rect);
      live.markStyles(rect);
    }
    if (light) live.markStyle();
    if (light || plane !== "styles") photo.changed({ rect, light });
  },
  say: (notice) => notices.say(notice),
  keep: (painting, model) => keeper.keep(painting, model),
  forget: (id) => keeper.forget(id),
  made: (painting, from) => keeper.adopt(from, painting),
  paintSmall: asking(fetchSmall),
  readStyle: async (photo, model) => (await asking(fetchStyleOf)({ photo, model })).style,
  opening: () => opening,
  exporting: () => exporting,
  gallery: () => gallery,
  sharing: () => sharing,
  signIn: () => signIn,
  choosePhoto: () => files.choose("image/*"),
  photo: () => photo,
  chooseAtHand: (place) => palette.choosePlace(place),
  findLabel: () => palette.find(),
  showStart: () => start.show(),
  showHelp: () => help.show(),
  zoom: (how) => {
    const { size } = panes[0];
    if (how === "fit") viewport.fit();
    else if (how === "pixels") viewport.zoomTo(size, 1 / devicePixelRatio);
    else viewport.zoomBy(size, how === "in" ? ZOOM_STEP : 1 / ZOOM_STEP);
  },
  showCanvasSize: () => canvasSize.show(),
  showGuide() {
    help.close();
    guide.start();
  },
});

const photo = new PhotoEditing(studio, {
  segment: asking(fetchSegments),
  styleOf: asking(fetchStyleOf),
  edit: asking(fetchEdit),
  sizeOf: sizeOfPhoto,
  reduced: reducedPhoto,
  encoded: photoAs,
  show: async (blob, { width, height }) => {
    if (photoView.composite) photoView.setComposite(null);
    const composite = blob && (await Composite.of(blob, width, height));
    // Meanwhile another painting may have come onto the easel.
    if (blob === (studio.state.document?.source?.blob ?? null)) photoView.setComposite(composite);
    else composite?.close();
  },
  cover: (edited) => photoView.composite?.setEdited(edited),
  share: (share) => photoPanel.share(share),
  settle: async (picture, signal) => {
    const bitmap = picture && (await createImageBitmap(picture));
    if (signal?.aborted) {
      bitmap?.close();
      return;
    }
    photoView.settle(bitmap);
    if (bitmap) pictureLater();
  },
});

const status = mountStatus(studio);

const tabs = new Tabs({
  me: newId(),
  channel: "BroadcastChannel" in window ? new BroadcastChannel("scenebrush") : null,
  // Plain http has none.
  locks: navigator.locks ?? null,
  onAsked: (id) => gallery.handOver(id),
});

const keeper = new Keeper(new Records("scenebrush"), {
  claim: (id) => tabs.claim(id),
  onCopied: (painting, why, id) => gallery.copied(painting, why, id),
  onSaved: (saved) => status.saved(saved),
  onFailure: (error) =>
    notices.say({
      what: t("This browser does not keep your painting."),
      why:
        /** @type {Error} */ (error)?.name === "QuotaExceededError"
          ? t("Its storage is full.")
          : t("Its storage said: {reason}.", { reason: /** @type {Error} */ (error)?.message || "no" }),
      next: t("Save the project as a file before you leave; opening it brings everything back."),
      tone: "error",
      key: "storage",
      action: { title: t("Save the project"), run: () => exporting.project() },
    }),
});

const live = new Live({
  url: `${location.origin.replace(/^http/, "ws")}${base}/live`,
  openSocket: (url, protocol) => new WebSocket(url, protocol),
  now,
  random: Math.random,
  schedule: perFrame,
  onLine(line) {
    status.line(line);
    status.painted(live.paints);
    photoFrame.dataset.phase = line.phase;
    if (line.phase === "ready") {
      notices.dismiss("live");
      door.open();
    } else if (line.phase === "locked") door.shut();
  },
  onLoad: (load) => status.load(load),
  onFrame(frame) {
    const free = mailbox.put(frame);
    if (free) show(free);
  },
  onRefusal({ title, detail, next, code }) {
    if (code === CHANGED) {
      loadModels();
      return;
    }
    const reload = code === "version" || code === "malformed";
    notices.say({
      ...noticeOf({ what: title, why: detail, next }, title),
      key: "live",
      action: reload
        ? { title: t("Reload"), run: () => location.reload() }
        : { title: t("Try again"), run: () => (STALE.includes(code) ? loadModels() : live.retry()) },
    });
  },
});

/** @type {Mailbox<Frame>} */
const mailbox = new Mailbox();

/** @param {Frame} frame */
async function show(frame) {
  for (let next = /** @type {Frame | null} */ (frame); next; next = mailbox.done()) {
    let { document: painting } = studio.state;
    try {
      // A photo that is still being read would take the picture's place.
      await photo.ready;
      if (!live.isCurrent(next)) continue;
      painting = studio.state.document;
      photo.refresh();
      if (!stored.stands()) await photoView.show(next.picture, next.format, live.paints);
    } catch (error) {
      notices.say(noticeOf(error, t("A picture from the server could not be shown.")));
    }
    const latency = live.shown(next);
    shown = { frame: next, latency, painting };
    framesShown++;
    if (framesShown === 1) {
      performance.mark("first-frame");
      signIn.greet();
    }
    photoFrame.dataset.filled = "";
    if (next.exact) photo.settled();
    if (next.exact && next.newest) pictureLater();
    status.pace({ latency, render: next.renderMicros / 1000, exact: next.exact });
  }
}

/** A picture that came with a painting, and stands until the painting changes. */
const stored = {
  /** @type {import("./document/document.js").LabelDocument | null} */
  painting: null,
  revision: 0,
  stands() {
    return this.painting === studio.state.document && this.painting?.revision === this.revision;
  },
  /** @param {Blob} picture */
  async show(picture) {
    this.painting = studio.document;
    this.revision = this.painting.revision;
    await photo.ready;
    photo.refresh();
    await photoView.show(new Uint8Array(await picture.arrayBuffer()), "png");
    photoFrame.dataset.filled = "";
  },
};

/** @type {ReturnType<typeof setTimeout> | undefined} */
let picturing;

/** When the hand rests, the gallery gets a small picture. */
function pictureLater() {
  clearTimeout(picturing);
  picturing = setTimeout(async () => {
    const { document: painting, model } = studio.state;
    const picture = photo.finished ?? painting?.source?.blob ?? shownPicture();
    // A preview may be smaller than the painting; a whole picture follows it.
    if (!painting?.touched || !picture || !live.settled || !live.shownExact) return;
    const small = await reducedPhoto(picture, THUMBNAIL);
    if (studio.state.document !== painting) return;
    keeper.picture(painting, small);
    keeper.keep(painting, model);
  }, STANDS);
}

const files = mountFiles((file) => opening.open(file));
const help = mountHelp(studio);
const canvasSize = mountCanvasSize(studio);
mountNewSize(studio, () => canvasSize.show());
const scenes = readScenes(await (await fetch(new URL("../scenes/scenes.json", import.meta.url))).json());
/** It may still be that of the painting before. */
const shownPicture = () =>
  shown?.painting === studio.state.document && shown
    ? new Blob([new Uint8Array(shown.frame.picture)], { type: `image/${shown.frame.format}` })
    : null;

const exporting = new Exporting(studio, {
  fetchPicture: asking(fetchPicture),
  shownPicture,
  pngOf: pngOfPhoto,
  download(file, name) {
    files.download(file, name);
    guide.downloaded();
  },
  createdOf: (painting) => keeper.createdOf(painting),
  version: document.querySelector('meta[name="scenebrush-version"]')?.getAttribute("content") ?? "",
});

const opening = new Opening(studio, {
  choose: (types) => files.choose(types),
  labelSets: async () => (await fetch(new URL("../label-sets/sets.json", import.meta.url))).json(),
  sizeOf: sizeOfPhoto,
  showKept: (picture) => stored.show(picture),
});

const sharing = new Sharing(studio, {
  pack: () => exporting.pack(studio.document, studio.state.model),
  post: asking(postShare),
  remove: asking(deleteShare),
  origin: location.origin,
});

const signIn = new SignIn(studio, door, {
  post: (token) => postToken(base, token),
  remove: () => deleteSession(base),
  session: () => fetchSession(base),
  changed: () => live.renew(),
  dismiss: (key) => notices.dismiss(key),
});
if (arrived) signIn.arrived(arrived, posted);

const gallery = new Gallery(studio, {
  keeper,
  tabs,
  draw: (canvas, { map, labelSet }) => new LabelView(canvas).show(map, labelSet),
  saveProject: (painting, model) => exporting.project(painting, model),
});

const start = mountStart(studio, {
  scenes,
  gallery: () => gallery,
  draw: (canvas, { map, labelSet }) => new LabelView(canvas).show(map, labelSet),
});

const photoPanel = mountPhotoPanel(byId("edit", HTMLElement), studio);
const palette = mountPalette(byId("palette", HTMLElement), studio);
mountLayers(byId("layers", HTMLElement), studio, (canvas, { map }, labelSet) =>
  drawLayer(canvas, map, labelSet),
);
mountLight(byId("light", HTMLElement), studio);
mountButtons(studio);
mountKeys(studio);
mountTooltip();
mountPanels(studio);
mountViews(studio);
mountSize(studio);
mountToolOptions(studio);
mountPresets(byId("presets", HTMLElement), studio, {
  now,
  quiet: () => !document.hidden && live.settled && shown?.frame.exact === true && !studio.hand.busy,
  wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
});
mountModels(studio);
mountLanguage(studio, () => !keeper.failed);
mountToolbars();
mountHint(studio);
mountMode(studio);
const guide = mountGuide(studio);
studio.store.watch(["seed", "document"], ({ seed, document: painting }) => {
  byId("seed", HTMLOutputElement).textContent = painting ? t("seed {seed}", { seed }) : "";
});

const viewport = new Viewport();
const panes = [
  new Pane(byId("map-frame", HTMLElement), byId("ring", HTMLElement), viewport, perFrame),
  new Pane(photoFrame, byId("photo-ring", HTMLElement), viewport, perFrame),
];
panes[0].placed = () => studio.store.set({ zoom: viewport.transform(panes[0].size).scale });
studio.store.watch(["document"], ({ document: painting }) => {
  if (painting) viewport.setContent(painting.map);
});
studio.store.watch(["selection", "sketch", "symmetry", "document"], (state) => {
  if (!state.document) return;
  const { width, height } = state.document.map;
  for (const pane of panes) pane.overlay.show({ ...state, width, height });
});
studio.store.watch(["tool"], ({ tool }) => {
  byId("stage", HTMLElement).dataset.tool = tool;
});

const surface = new Surface(studio, viewport, (at) => {
  const { tool, size } = studio.state;
  for (const pane of panes) pane.showRing(WITH_RING.includes(tool) ? at : null, size);
});
for (const pane of panes) surface.mount(pane);
mountHeldKeys(studio, surface, byId("stage", HTMLElement));

studio.store.watch(["document", "model", "models"], ({ document: painting, models }) => {
  if (!painting) return;
  const { map, labelSet } = painting;
  if (labelView.map !== map) labelView.show(map, labelSet);
  document.documentElement.style.setProperty("--aspect", String(map.width / map.height));
  photo.follow(painting);
  if (models.length === 0) return;
  live.open({
    width: map.width,
    height: map.height,
    model: studio.model.id,
    labelSet: studio.model.label_set.hash ?? "",
    seed: () => painting.seed,
    style: () => studio.codeFor(painting),
    regions: () => studio.lightsFor(painting).codes,
    numbering: () => studio.lightsFor(painting).numbering,
    read: studio.readerFor(painting),
    readStyles: (rect) => studio.lightsFor(painting).read(rect),
    hasStyles: () => studio.lightsFor(painting).any(),
  });
});

studio.store.watch(["document", "plane"], ({ document: painting, plane }) => {
  lightsView.show(painting && plane === "styles" ? painting.styles : null);
});

/**
 * The models, however long the server takes to come; what they paint is opened with them.
 *
 * @param {ReturnType<typeof fetchModels> | null} [asked] when they have been asked for before
 */
async function loadModels(asked = null) {
  let first = asked;
  const ask = () => {
    const answer = first ?? fetchModels(base);
    first = null;
    return answer;
  };
  for (let attempt = 0; ; attempt++) {
    try {
      const { models, sharing: shares } = await door.patiently(ask);
      studio.setModels(models);
      studio.store.set({ sharing: shares });
      notices.dismiss("models");
      return;
    } catch (error) {
      notices.say({
        ...noticeOf(error, t("The server did not tell its models.")),
        key: "models",
        lasting: true,
      });
      const { retryAfter = 0 } = /** @type {{retryAfter?: number}} */ (error);
      const wait = Math.max(retryDelay(attempt, Math.random()), notBefore(1000 * retryAfter, Math.random()));
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** A painting that somebody has shared, as one of the visitor's own. @param {string} id */
async function openShared(id) {
  try {
    await opening.openProject(await door.patiently(() => fetchShare(base, id)));
    // It is the visitor's own now, and a reload brings back that.
    history.replaceState(null, "", `${base}/`);
    return true;
  } catch (error) {
    notices.say({ ...noticeOf(error, t("The shared painting could not be opened.")), key: "open" });
    return false;
  }
}

const sharedId = document.querySelector('meta[name="scenebrush-share"]')?.getAttribute("content");
setTimeout(appear, WHOLE_WITHIN);
const kept = sharedId ? false : await gallery.openLast();
await loadModels(firstModels);
const opened = sharedId ? (await openShared(sharedId)) || (await gallery.openLast()) : kept;
if (!opened) studio.startScene(scenes[0]);
appear();
guide.greet();

setInterval(() => live.watch(), WATCH);
addEventListener("online", () => live.wake());
// A link with a token that is opened here again changes nothing else of the address.
addEventListener("hashchange", () => {
  const token = arrivedToken();
  if (token) signIn.arrived(token, postToken(base, token));
});
addEventListener("beforeunload", () => keeper.hurry());
addEventListener("pagehide", () => keeper.flush());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) live.wake();
});

/** For tests and the curious: what the page holds and shows. Nothing in the page uses it. */
Object.assign(window, {
  scenebrush: {
    studio,
    live,
    get labels() {
      return readRect(studio.document.map, bounds(studio.document.map));
    },
    get revision() {
      return studio.document.revision;
    },
    get frame() {
      return shown && { ...shown.frame, latency: shown.latency, count: framesShown };
    },
    get settled() {
      return live.settled;
    },
  },
});
