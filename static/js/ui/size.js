/**
 * The brush size slider. It runs over the square root of the size, so that small brushes have as much room as large.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { byId } from "./dom.js";
import { maxSize } from "./studio.js";

const STEPS = 1000;

/** @param {Studio} studio */
export function mountSize(studio) {
  const slider = byId("size", HTMLInputElement);
  const text = byId("size-text", HTMLOutputElement);
  const span = () => Math.sqrt(maxSize(studio.state)) - 1;
  slider.max = String(STEPS);
  slider.addEventListener("input", () => {
    studio.setSize((1 + (Number(slider.value) / STEPS) * span()) ** 2);
  });
  studio.store.watch(["size", "document"], ({ size }) => {
    const value = Math.round(((Math.sqrt(size) - 1) / span()) * STEPS);
    // Not while it is being dragged over a size that rounds to the same: it would stick.
    if (Math.round((1 + (Number(slider.value) / STEPS) * span()) ** 2) !== size) slider.value = String(value);
    slider.setAttribute("aria-valuetext", `${size} pixels`);
    slider.style.setProperty("--part", String(Number(slider.value) / STEPS));
    text.textContent = `${size} px`;
  });
}
