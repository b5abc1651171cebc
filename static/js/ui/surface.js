/**
 * Pointers on a canvas become gestures of the hand.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/raster.js").Point} Point
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Studio} studio
 * @param {(at: Point | null) => void} onHover where the pointer is, in map pixels; null when it has left
 */
export function mountSurface(canvas, studio, onHover) {
  const { hand } = studio;
  /** @type {number | null} */
  let pointer = null;

  const toMap = (/** @type {{clientX: number, clientY: number}} */ event) => {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * canvas.width) / box.width,
      y: ((event.clientY - box.top) * canvas.height) / box.height,
    };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0 || !studio.state.document) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    onHover(toMap(event));
    hand.down(event.altKey ? "pick" : studio.state.tool, toMap(event));
  });

  canvas.addEventListener("pointermove", (event) => {
    if (pointer !== null && event.pointerId !== pointer) return;
    onHover(toMap(event));
    if (pointer === null) return;
    // Every point since the last frame, not only the newest one, where the browser tells them: over plain http it
    // does not.
    const events = event.getCoalescedEvents?.() ?? [];
    hand.move((events.length > 0 ? events : [event]).map(toMap));
  });

  const end = (/** @type {PointerEvent} */ event, /** @type {() => void} */ finish) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    finish();
    if (event.pointerType !== "mouse") onHover(null);
  };
  canvas.addEventListener("pointerup", (event) => end(event, () => hand.up()));
  // The button was released where no event of it reaches us.
  canvas.addEventListener("lostpointercapture", (event) => end(event, () => hand.up()));
  canvas.addEventListener("pointercancel", (event) => end(event, () => hand.cancel()));
  canvas.addEventListener("pointerleave", () => {
    if (pointer === null) onHover(null);
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}
