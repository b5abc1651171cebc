/**
 * The palette: every label with its colour and its name, by group, and for those that the model lacks what it paints
 * instead. Above them the labels at hand, by the keys 1 to 9, and a search. Of a set of many labels those that are in
 * the painting come first and the groups are closed until somebody opens them. One radio group for the keyboard: Tab
 * reaches the chosen label, arrows move the choice.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/labelset.js").Label} Label
 * @typedef {import("../document/labelset.js").LabelSet} LabelSet
 */
import { t, term } from "../core/i18n.js";
import { recall, remember } from "../core/remember.js";
import { countLabels } from "../document/labelmap.js";
import { groupLabels, labelById } from "../document/labelset.js";
import { AtHand, searchLabels } from "../document/search.js";
import { SYNONYMS } from "../document/synonyms.js";
import { icon, make } from "./dom.js";
import { rememberHand } from "./hand.js";

/** So many labels are looked over at a glance; of more, groups are closed at first. */
const GLANCE = 40;
const PLACES = 9;
/** What is in the painting is counted when the hand has rested so long, in milliseconds. */
const REST = 300;

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 * @returns {{choosePlace: (place: number) => void, find: () => void}}
 */
export function mountPalette(host, studio) {
  const section = /** @type {HTMLElement} */ (host.closest("section") ?? host);
  /** @type {Map<number, HTMLButtonElement>} */
  const swatches = new Map();
  /** @type {LabelSet | null} */
  let shown = null;
  let hand = new AtHand(PLACES);
  /** @type {Set<string>} names of groups that are closed */
  let closed = new Set();
  /** @type {{group: string, labels: Label[], box: HTMLElement, body: HTMLElement, head: HTMLButtonElement}[]} */
  let groups = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const all = make(
    "button",
    { type: "button", class: "tool palette-all", "aria-expanded": "false" },
    icon("labels"),
  );
  all.setAttribute("aria-label", t("All labels"));
  const search = make("input", {
    type: "search",
    id: "label-search",
    class: "label-search",
    placeholder: t("Find a label"),
    "aria-label": t("Find a label"),
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "done",
  });
  const quick = make("div", { class: "at-hand", role: "group", "aria-label": t("Labels at hand") });
  const used = make("div", { class: "used", role: "group", "aria-label": t("In this painting") });
  const none = make("p", { class: "quiet", role: "status" });
  const results = make("div", { class: "swatches results" });
  const radios = make("div", { class: "labels", role: "radiogroup", "aria-label": t("Labels") });
  host.append(all, search, quick, used, none, radios);

  // What is there

  const build = () => {
    const set = studio.document.labelSet;
    if (set === shown) return;
    shown = set;
    swatches.clear();
    search.value = "";
    const kept = keptFor(set);
    closed = new Set(
      kept.closed ?? (set.labels.length > GLANCE ? groupLabels(set).map(({ group }) => group) : []),
    );
    hand = new AtHand(PLACES, kept.recent ?? mostOf(set));
    // Places stay, whatever the painting is in when it is opened again.
    keep({ recent: hand.ids });
    section.toggleAttribute("data-many", set.labels.length > GLANCE);
    groups = groupLabels(set).map(({ group, labels }) => {
      const body = make("div", { class: "swatches", id: `group-${slug(group)}` });
      const head = make(
        "button",
        { type: "button", class: "group-name", "aria-controls": body.id },
        icon("down"),
        make("span", {}, term(group)),
        make("span", { class: "group-count" }, String(labels.length)),
      );
      head.addEventListener("click", () => toggle(group));
      for (const label of labels) swatches.set(label.id, swatch(label));
      return { group, labels, body, head, box: make("div", { class: "group" }, head, body) };
    });
    place();
  };

  const swatch = (/** @type {Label} */ { id, name, color }) => {
    const button = make(
      "button",
      { type: "button", class: "swatch", role: "radio", "data-label": String(id), "data-tip": called(name) },
      chip(color),
      make("span", { class: "swatch-text" }, make("span", { class: "swatch-name" }, term(name))),
    );
    button.addEventListener("click", () => choose(id));
    return button;
  };

  /** The groups, or what was found. */
  const place = () => {
    const set = /** @type {LabelSet} */ (shown);
    const query = search.value.trim();
    const of = (/** @type {readonly Label[]} */ labels) =>
      labels.map(({ id }) => /** @type {HTMLElement} */ (swatches.get(id)));
    for (const { group, labels, body, head } of groups) {
      const open = !closed.has(group);
      head.setAttribute("aria-expanded", String(open));
      body.hidden = !open;
      if (!query) body.replaceChildren(...of(labels));
    }
    const hits = query ? searchLabels(set.labels, query, term, SYNONYMS) : [];
    results.replaceChildren(...of(hits.map(({ label }) => label)));
    for (const swatch of swatches.values()) swatch.querySelector(".swatch-as")?.remove();
    for (const { label, word } of hits) {
      if (!word) continue;
      const name = swatches.get(label.id)?.querySelector(".swatch-name");
      name?.append(make("span", { class: "swatch-as" }, ` (${word})`));
    }
    radios.replaceChildren(...(query ? [results] : groups.map(({ box }) => box)));
    quick.hidden = query !== "";
    used.hidden = query !== "" || set.labels.length <= GLANCE;
    none.textContent = query && hits.length === 0 ? t("No label is called that.") : "";
    markChosen();
  };

  const toggle = (/** @type {string} */ group) => {
    if (!closed.delete(group)) closed.add(group);
    keep({ closed: [...closed] });
    place();
  };

  // Labels at hand

  const showQuick = () => {
    const set = /** @type {LabelSet} */ (shown);
    quick.replaceChildren(
      ...hand.ids.map((id, i) => {
        const label = /** @type {Label} */ (labelById(set, id));
        const key = String(i + 1);
        const button = tile(label, make("kbd", { "aria-hidden": "true" }, key));
        button.setAttribute("aria-keyshortcuts", key);
        button.dataset.tipKeys = key;
        return button;
      }),
    );
    markChosen();
  };

  /** @param {Label} label @param {HTMLElement[]} more */
  const tile = ({ id, name, color }, ...more) => {
    const button = make(
      "button",
      { type: "button", class: "tile", "data-label": String(id), "data-tip": called(name) },
      chip(color),
      make("span", { class: "tile-name" }, term(name)),
      ...more,
    );
    button.addEventListener("click", () => choose(id));
    return button;
  };

  const showUsed = () => {
    const set = shown;
    if (!set || set.labels.length <= GLANCE || !studio.state.document) return;
    const present = idsByArea(studio.document.map.data).filter((id) => labelById(set, id));
    const ids = present.filter((id) => !hand.ids.includes(id));
    used.replaceChildren(
      ...(ids.length > 0 ? [make("h3", { class: "group-title" }, t("In this painting"))] : []),
      ...ids.map((id) => tile(/** @type {Label} */ (labelById(set, id)))),
    );
    markChosen();
  };

  // What is chosen

  const markChosen = () => {
    const { label, plane } = studio.state;
    let stop = false;
    for (const [id, button] of swatches) {
      const chosen = id === label;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      stop ||= chosen && isVisible(button);
    }
    // The chosen one is in a closed group: Tab stops at the first that is there.
    if (!stop) {
      const first = visible()[0];
      if (first) first.tabIndex = 0;
    }
    for (const button of host.querySelectorAll(".tile")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-label") === String(label)));
    }
    section.toggleAttribute("data-resting", plane === "styles");
  };

  const isVisible = (/** @type {HTMLElement} */ button) => button.isConnected && !button.closest("[hidden]");
  const visible = () =>
    [.../** @type {NodeListOf<HTMLButtonElement>} */ (radios.querySelectorAll(".swatch"))].filter(isVisible);

  /** Scroll to what is chosen: a swatch, or in the strip of a set of many labels its tile. */
  const reveal = () => {
    const swatch = swatches.get(studio.state.label);
    const tile = quick.querySelector('[aria-pressed="true"]');
    for (const button of [tile, swatch]) {
      if (button?.checkVisibility()) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };

  const choose = (/** @type {number} */ id) => {
    studio.setLabel(id);
    // Whoever chooses a label wants to paint with it.
    if (studio.state.tool === "pick") studio.setTool(studio.lastTool);
    openSheet(false);
  };

  // Search and keys

  search.addEventListener("input", place);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    const first = visible()[0];
    if (event.key === "Enter" && search.value.trim() && first) choose(Number(first.dataset.label));
    else if (event.key === "Enter") return;
    search.value = "";
    place();
    search.blur();
    reveal();
  });

  radios.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !(event.target instanceof Element) || !event.target.matches(".swatch")) return;
    event.preventDefault();
    const buttons = visible();
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const next = buttons[(at + step + buttons.length) % buttons.length];
    studio.setLabel(Number(next.dataset.label));
    next.focus();
  });

  // On a phone: a strip, and all of it in a sheet.

  const openSheet = (/** @type {boolean} */ open) => {
    const was = section.hasAttribute("data-sheet");
    section.toggleAttribute("data-sheet", open);
    all.setAttribute("aria-expanded", String(open));
    if (open || !was) return;
    // The strip has no room for a search, and shows what was chosen.
    search.value = "";
    place();
    reveal();
  };
  all.addEventListener("click", () => openSheet(!section.hasAttribute("data-sheet")));
  addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !section.contains(target)) openSheet(false);
  });
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") openSheet(false);
  });

  // What the painting is in, and what its model makes of it

  const keep = (/** @type {{closed?: string[], recent?: number[]}} */ changes) => {
    if (shown) remember(`palette ${shown.name}`, { ...keptFor(shown), ...changes });
  };

  /** A quiet "→ tree" under the name; the tooltip says it in words. */
  const markStandIns = () => {
    const standIns = studio.standIns();
    for (const [id, button] of swatches) {
      const nearest = standIns.get(id);
      button.querySelector(".stand-in")?.remove();
      button.removeAttribute("aria-description");
      delete button.dataset.tipHint;
      if (nearest === undefined) continue;
      const { name, label_set: set } = studio.model;
      const nothing = set.labels.find(({ id: other }) => other === set.ignore)?.name === nearest;
      const values = { model: name, nearest: term(nearest) };
      const hint = nothing
        ? t("{model} knows nothing like it and leaves it {nearest}.", values)
        : t("{model} does not know it and paints {nearest} instead.", values);
      button
        .querySelector(".swatch-text")
        ?.append(make("span", { class: "stand-in", "aria-hidden": "true" }, `→ ${term(nearest)}`));
      button.dataset.tipHint = hint;
      button.setAttribute("aria-description", hint);
    }
  };

  /** The labels that most of the painting is, the chosen one among them. @param {LabelSet} set */
  const mostOf = (set) => {
    const ids = idsByArea(studio.document.map.data).filter((id) => id !== set.ignore && labelById(set, id));
    return [...new Set([...ids.slice(0, PLACES - 1), studio.state.label])];
  };

  rememberHand(studio);

  studio.store.watch(["document", "model", "models"], ({ document }) => {
    if (!document) return;
    build();
    showQuick();
    showUsed();
    markStandIns();
  });

  studio.store.watch(["document", "label", "plane"], ({ document, label }) => {
    if (!document) return;
    build();
    const before = hand.ids.join();
    hand.use(label);
    if (hand.ids.join() !== before) {
      keep({ recent: hand.ids });
      showQuick();
      showUsed();
    }
    markChosen();
    reveal();
  });

  studio.follow(({ settled }) => {
    if (!settled) return;
    clearTimeout(timer);
    timer = setTimeout(showUsed, REST);
  });
  return {
    /** @param {number} place 1 to 9 */
    choosePlace(place) {
      const id = hand.ids[place - 1];
      if (id !== undefined) choose(id);
    },
    find() {
      openSheet(true);
      search.focus();
      search.select();
    },
  };
}

/** A label's name, and its own in brackets where it is shown in another language. @param {string} name */
function called(name) {
  const shown = term(name);
  return shown === name ? name : `${shown} (${name})`;
}

/** @param {import("../document/labelset.js").Color} color */
function chip(color) {
  const made = make("span", { class: "chip", "aria-hidden": "true" });
  made.style.backgroundColor = `rgb(${color.join(" ")})`;
  return made;
}

/** @param {Uint8Array} labels @returns {number[]} what is there, most of it first */
function idsByArea(labels) {
  const counts = countLabels(labels);
  return [...counts.keys()].filter((id) => counts[id] > 0).sort((a, b) => counts[b] - counts[a]);
}

/** What this browser remembers of the palette of a set. @param {LabelSet} set @returns {{closed?: string[], recent?: number[]}} */
function keptFor(set) {
  const kept = /** @type {any} */ (recall(`palette ${set.name}`)) ?? {};
  const recent =
    Array.isArray(kept.recent) && kept.recent.filter((/** @type {number} */ id) => labelById(set, id));
  return {
    ...(Array.isArray(kept.closed) && { closed: kept.closed.map(String) }),
    ...(recent && recent.length > 0 && { recent: [...new Set(recent)] }),
  };
}

/** @param {string} text */
function slug(text) {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
}
