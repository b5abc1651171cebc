/**
 * The guided start: four things to do, each told where it is done, and left behind by doing it. It lies beside the
 * pictures, takes no pointer but on its own buttons, and is shown by itself only once.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").State} State
 * @typedef {State & {revision: number}} Moment
 * @typedef {{text: string, at: string[], done: (now: Moment, before: Moment) => boolean}} Step `at`: what it speaks of, the
 *   first of these that can be seen; `done`: whether it was done since it was told
 */
import { t } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { byId, make } from "./dom.js";

/** Steps follow each other no faster than they can be read, in milliseconds. */
const READ = 900;

/** @type {Step[]} */
export const STEPS = [
  {
    text: "Choose what to paint: a mountain, for example.",
    at: [".palette"],
    done: (now, before) => now.label !== before.label,
  },
  {
    text: "Drag on the map. The photo follows while you paint.",
    at: ["#map-frame", "#photo-frame"],
    done: (now, before) => now.document === before.document && now.revision > before.revision,
  },
  {
    text: "Change the light: choose one, or roll the dice.",
    at: [".strip", "[data-action=panel-light]"],
    done: ({ seed, style, code }, before) =>
      seed !== before.seed || style !== before.style || code !== before.code,
  },
  {
    text: "Keep painting. Download the photo when you like it.",
    at: ["[data-action=save-photo]"],
    done: () => false,
  },
];

/** @param {Studio} studio */
export function mountGuide(studio) {
  const card = byId("guide", HTMLElement);
  const spot = byId("guide-spot", HTMLElement);
  const text = make("p", { class: "guide-text", role: "status" });
  const count = make("span", { class: "guide-count", "aria-hidden": "true" });
  const next = make("button", { type: "button", class: "guide-button" });
  const skip = make("button", { type: "button", class: "guide-button quiet" }, t("Skip"));
  card.append(count, text, next, skip);
  let step = -1;
  const moment = () => ({ ...studio.state, revision: studio.state.document?.revision ?? 0 });
  /** When the step was told. */
  let before = moment();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let going;

  const place = () => {
    // In the middle of the stage, where that is not the whole page.
    const stage = byId("stage", HTMLElement).getBoundingClientRect();
    card.style.maxWidth = `${Math.min(640, Math.max(320, stage.width - 16))}px`;
    card.style.translate = `${(stage.left + stage.right - innerWidth) / 2}px 0`;
    // On a phone it lies over the tool's settings: no part of a picture can be spared.
    const { top: settings } = byId("tool-options", HTMLElement).getBoundingClientRect();
    card.style.setProperty("--settings-top", `${settings}px`);
    const targets = (STEPS[step]?.at ?? ["html"]).flatMap((at) => [
      .../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(at)),
    ]);
    const target = targets.find((one) => one.checkVisibility({ visibilityProperty: true }));
    spot.hidden = !target;
    if (!target) return;
    const { left, top, width, height } = target.getBoundingClientRect();
    spot.style.transform = `translate(${left - 3}px, ${top - 3}px)`;
    spot.style.width = `${width + 6}px`;
    spot.style.height = `${height + 6}px`;
  };

  const end = () => {
    clearTimeout(going);
    step = -1;
    card.hidden = true;
    spot.hidden = true;
    delete document.body.dataset.guide;
    // Whoever was led needs no first word any more.
    document.body.dataset.guided = "";
    remember("guide", "seen");
  };

  const tell = (/** @type {number} */ at) => {
    clearTimeout(going);
    going = undefined;
    if (at >= STEPS.length) return end();
    step = at;
    before = moment();
    const last = at === STEPS.length - 1;
    count.textContent = `${at + 1} / ${STEPS.length}`;
    text.textContent = t(STEPS[at].text);
    next.textContent = last ? t("Done") : t("Next");
    skip.hidden = last;
    card.hidden = false;
    document.body.dataset.guide = String(at + 1);
    place();
  };

  const goOn = () => {
    const to = step + 1;
    going ??= setTimeout(() => tell(to), READ);
  };
  const look = () => {
    if (step >= 0 && STEPS[step].done(moment(), before)) goOn();
  };

  next.addEventListener("click", () => tell(step + 1));
  skip.addEventListener("click", end);
  byId("palette", HTMLElement).addEventListener("click", () => {
    // The label that was chosen already is a choice too.
    if (step === 0) goOn();
  });
  studio.store.watch(["label", "canUndo", "document", "seed", "style", "code"], look);
  studio.follow(({ settled }) => settled && look());
  new ResizeObserver(() => step >= 0 && place()).observe(byId("stage", HTMLElement));

  return {
    start: () => tell(0),
    /** The last thing to do is done. */
    downloaded() {
      if (step === STEPS.length - 1) end();
    },
    /** On a first visit, once there is something to paint on. */
    greet() {
      if (recall("guide") === null && !studio.state.document?.touched) tell(0);
    },
  };
}
