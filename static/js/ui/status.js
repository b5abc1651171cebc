/**
 * The status line: the connection, how far the photo is behind the hand, and whether the painting is kept.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {{phase: string, why: string, retryIn: number}} Line
 */
import { t } from "../core/i18n.js";
import { byId, make } from "./dom.js";
import { loadText } from "./load.js";

const SAVED = { saving: t("Saving…"), saved: t("Saved in this browser"), failed: t("Not saved") };

/** @param {Studio} studio */
export function mountStatus(studio) {
  const link = byId("link", HTMLElement);
  const linkText = byId("link-text", HTMLElement);
  // Apart from the text, which is read out when it changes: nobody wants to hear a countdown.
  const retry = byId("retry", HTMLElement);
  const pace = byId("pace", HTMLElement);
  // What the photo is now: it may become exact long after the stroke whose pace stands beside it.
  const quality = make("span", { class: "quality" });
  const saved = byId("saved", HTMLElement);
  const about = byId("about", HTMLElement);
  const noPhoto = byId("no-photo", HTMLElement);
  const painted = byId("painted", HTMLElement);
  const load = byId("load", HTMLElement);
  // Apart, so that it is read out when the level changes, and not with every painter who comes or goes.
  const loadSaid = byId("load-said", HTMLElement);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let countdown;

  studio.store.watch(["document", "model", "models"], ({ document, models, model }) => {
    const painter = models.find(({ id }) => id === model);
    const parts = [document && sizeOf(document.map), painter?.name].filter(Boolean);
    const licence = make("span", { class: "minor" }, painter?.licence ? ` · ${painter.licence}` : "");
    about.replaceChildren(parts.join(" · "), licence);
  });

  /** @param {string} phase @param {string} text */
  const showLink = (phase, text) => {
    link.dataset.phase = phase;
    if (linkText.textContent !== text) linkText.textContent = text;
  };

  return {
    /** @param {Line} line */
    line({ phase, why, retryIn }) {
      clearInterval(countdown);
      const coming = !["refused", "stopped", "locked"].includes(phase);
      noPhoto.textContent = coming ? t("The first photo is on its way…") : t("There is no photo yet");
      retry.textContent = "";
      if (phase === "waiting") {
        const until = Date.now() + retryIn;
        const tick = () => {
          const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
          retry.textContent = t("Trying again in {seconds} s", { seconds });
        };
        showLink(phase, t("{why}. Keep painting.", { why: t(why) }));
        tick();
        countdown = setInterval(tick, 1000);
      } else if (phase === "ready") showLink(phase, t("Connected"));
      else if (phase === "refused") showLink(phase, t("Connected, but not painting: {why}", { why: t(why) }));
      else if (phase === "idle") showLink(phase, t("Resting. Paint to wake the server"));
      else if (phase === "locked") showLink(phase, t("Not signed in. Keep painting."));
      else if (phase === "stopped") showLink(phase, why ? t(why) : t("Not connected"));
      else showLink(phase, t("Connecting…"));
    },
    /** @param {import("./load.js").Load} now what so many painters mean for this one */
    load(now) {
      const { text, more, why } = loadText(now);
      load.hidden = text === "";
      load.dataset.level = now.level;
      load.dataset.tip = text;
      load.dataset.tipHint = why;
      load.replaceChildren(text, make("span", { class: "load-more" }, more && ` ${more}`));
      if (loadSaid.textContent !== why) loadSaid.textContent = why;
    },
    /**
     * What the model did of a canvas that is larger than it paints.
     *
     * @param {{width: number, height: number} | null} paints the size of the server's pictures
     */
    painted(paints) {
      const map = studio.state.document?.map;
      const smaller = map && paints && (paints.width < map.width || paints.height < map.height);
      painted.textContent = smaller
        ? t("photo painted at {painted}, shown at {shown}", { painted: sizeOf(paints), shown: sizeOf(map) })
        : "";
    },
    /** @param {{latency: number | null, render: number, exact: boolean}} measured milliseconds */
    pace({ latency, render, exact }) {
      pace.dataset.quality = exact ? "exact" : "preview";
      quality.textContent = `${exact ? t("exact photo") : t("preview")} · `;
      if (latency !== null) {
        pace.dataset.latency = String(Math.round(latency));
        const measured = [
          strong(`${Math.round(latency)} ms`),
          ` ${t("stroke to photo")} · `,
          strong(`${Math.round(render)} ms`),
          ` ${t("rendering")}`,
        ];
        pace.replaceChildren(quality, make("span", { class: "minor" }, ...measured));
      }
    },
    /** @param {keyof typeof SAVED} state */
    saved(state) {
      saved.dataset.state = state;
      saved.textContent = SAVED[state];
    },
  };
}

/** @param {string} text */
function strong(text) {
  return make("b", {}, text);
}

/** @param {{width: number, height: number}} of */
function sizeOf({ width, height }) {
  return `${width} × ${height}`;
}
