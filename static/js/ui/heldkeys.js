/**
 * Keys that mean something only at a certain moment: held ones, and those that go on with a gesture. What is simply pressed
 * is in the action table.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("./surface.js").Surface} Surface
 */
import { nudge } from "./selecting.js";

/** How far arrows move what is selected; with Shift, FAR times as far. */
const FAR = 10;
const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});
/** What does not set down a piece that floats. */
const FLOATING = [...Object.keys(ARROWS), "Shift", "Alt", "Control", "Meta", "Escape", "Enter"];

/**
 * @param {Studio} studio
 * @param {Surface} surface
 * @param {HTMLElement} stage
 */
export function mountHeldKeys(studio, surface, stage) {
  const { hand } = studio;
  const over = () => stage.matches(":hover");
  /** Whether the key belongs to what has the focus. @param {KeyboardEvent} event */
  const taken = ({ target }) =>
    document.querySelector("dialog[open]") !== null ||
    (target instanceof Element && target.matches("input:not([type=range]), select, textarea")) ||
    (target instanceof Element && target !== document.body && !stage.contains(target) && !over());

  const pan = (/** @type {boolean} */ on) => {
    surface.panning = on;
    stage.toggleAttribute("data-panning", on);
  };

  /** @param {KeyboardEvent} event @returns {boolean} whether it meant something */
  const deed = (event) => {
    const arrow = ARROWS[event.key];
    if (event.key === " ") {
      pan(true);
      return true;
    }
    if (event.key === "Enter") return hand.finish();
    if (event.key === "Backspace") return hand.back();
    if (!arrow || !studio.state.selection || event.ctrlKey || event.metaKey || event.altKey) return false;
    const by = event.shiftKey ? FAR : 1;
    nudge(studio, arrow[0] * by, arrow[1] * by);
    return true;
  };

  addEventListener("keydown", (event) => {
    if (event.key === "Shift" || event.key === "Alt") surface.rekey(event);
    if (event.defaultPrevented || taken(event) || !studio.state.document) return;
    if (deed(event)) event.preventDefault();
  });
  addEventListener("keyup", (event) => {
    if (event.key === "Shift" || event.key === "Alt") surface.rekey(event);
    if (event.key !== " " || !surface.panning) return;
    pan(false);
    event.preventDefault();
  });

  // A piece that floats is set down before anything else is done.
  const setDown = () => {
    if (hand.mover.active && !hand.pressing) hand.mover.drop();
  };
  addEventListener("keydown", (event) => void (FLOATING.includes(event.key) || setDown()), true);
  addEventListener(
    "pointerdown",
    ({ target }) => void ((target instanceof Node && stage.contains(target)) || setDown()),
    true,
  );
  addEventListener("blur", () => {
    pan(false);
    setDown();
  });
  addEventListener("pagehide", setDown);
}
