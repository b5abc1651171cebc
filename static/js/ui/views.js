/**
 * What the stage shows: photo and map side by side, one of them, or the map over the photo; and the comparison of both
 * while its button or Tab is held.
 *
 * Tab stays the key that walks through the page: it compares only while the pointer is over the stage, and there only
 * when it is held; a short press walks on as ever.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./studio.js").View} View
 */
import { t } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { byId, icon, make } from "./dom.js";
import { VIEWS } from "./studio.js";

/** How long Tab is down before it compares, in milliseconds. */
const HELD = 150;

/** @param {Studio} studio */
export function mountViews(studio) {
  const stage = byId("stage", HTMLElement);
  const opacity = byId("map-opacity", HTMLInputElement);
  studio.setView(VIEWS.find((view) => view === recall("view")) ?? "split");
  opacity.value = String(recall("opacity") ?? 40);

  const showOpacity = () => {
    const part = Number(opacity.value) / 100;
    stage.style.setProperty("--map-opacity", String(part));
    opacity.style.setProperty("--part", String(part));
    remember("opacity", Number(opacity.value));
  };
  opacity.addEventListener("input", showOpacity);
  showOpacity();

  studio.store.watch(["view"], ({ view }) => {
    stage.dataset.view = view;
    byId("opacity", HTMLElement).hidden = view !== "over";
    // The one button of a small page shows where it is.
    document.querySelector("[data-action=view-next] use")?.setAttribute("href", `#i-${view}`);
    remember("view", view);
  });

  const arrange = () => {
    const { width: w, height: h } = studio.state.document?.map ?? { width: 1, height: 1 };
    const { height } = stage.getBoundingClientRect();
    if (height > 0) stage.dataset.split = betterSplit(roomOf(stage), height, w / h);
  };
  new ResizeObserver(arrange).observe(stage);
  studio.store.watch(["document"], arrange);

  const compare = (/** @type {boolean} */ on) => void stage.toggleAttribute("data-comparing", on);
  for (const button of document.querySelectorAll("button.compare")) {
    if (button instanceof HTMLButtonElement) compareByButton(button, compare);
  }
  compareByTab(stage, compare);
}

/**
 * Held by a finger, a pointer, Space or Enter.
 *
 * @param {HTMLButtonElement} button
 * @param {(on: boolean) => void} compare
 */
function compareByButton(button, compare) {
  button.append(icon("compare"), make("span", { class: "button-text" }, t("Compare")));
  button.setAttribute("aria-label", t("Compare"));
  button.dataset.tip = t("Compare");
  button.dataset.tipHint = t("Hold it: photo and map change places.");
  button.dataset.tipKeys = "Tab";
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    compare(true);
  });
  for (const end of ["lostpointercapture", "keyup", "blur"]) {
    button.addEventListener(end, () => compare(false));
  }
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    compare(true);
  });
  // A finger that rests is no wish for a menu.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

/**
 * The stage's width while labels are open and the dock is not, on screens where they stand beside it: a panel that opens
 * must not turn the pictures round.
 *
 * @param {HTMLElement} stage
 */
function roomOf(stage) {
  const { width } = stage.getBoundingClientRect();
  if (!matchMedia("(width >= 1200px)").matches) return width;
  const labels = Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--palette"));
  const missing = document.querySelector(".palette")?.checkVisibility() ? 0 : labels;
  return width + byId("dock", HTMLElement).offsetWidth - missing;
}

/**
 * @param {number} width of the stage
 * @param {number} height
 * @param {number} aspect of the picture
 * @returns {"row" | "column"} what shows two pictures larger
 */
export function betterSplit(width, height, aspect) {
  const beside = Math.min(width / 2, height * aspect);
  const above = Math.min(width, (height / 2) * aspect);
  return beside >= above ? "row" : "column";
}

/**
 * @param {HTMLElement} stage
 * @param {(on: boolean) => void} compare
 */
function compareByTab(stage, compare) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const stop = () => {
    clearTimeout(waiting);
    waiting = undefined;
    compare(false);
  };
  addEventListener("keydown", (event) => {
    if (event.key !== "Tab" || !stage.matches(":hover") || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // Repeats of a held key would walk on and on. The first press walks; it is taken back where it becomes a hold.
    if (event.repeat) {
      event.preventDefault();
      return;
    }
    const before = document.activeElement;
    waiting = setTimeout(() => {
      compare(true);
      if (before instanceof HTMLElement && before !== document.body) before.focus({ preventScroll: true });
      else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    }, HELD);
  });
  addEventListener("keyup", (event) => {
    if (event.key === "Tab") stop();
  });
  addEventListener("blur", stop);
}
