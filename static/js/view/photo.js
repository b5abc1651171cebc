/**
 * Shows encoded pictures on a canvas; where a photo lies under the painting, over that. Decoding happens off the page's
 * thread.
 *
 * @typedef {import("./composite.js").Composite} Composite
 */
export class PhotoView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    /** @type {Composite | null} */
    this.composite = null;
    /** The newest picture, kept while a photo lies under it. @type {ImageBitmap | null} */
    this.frame = null;
  }

  /**
   * @param {Uint8Array} picture the bytes of a JPEG, WebP or PNG
   * @param {string} format "jpeg", "webp" or "png"
   * @returns {Promise<void>} when it is on the canvas
   * @throws {DOMException} when the bytes are no picture
   */
  async show(picture, format) {
    const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (picture)], { type: `image/${format}` });
    const bitmap = await createImageBitmap(blob);
    this.frame?.close();
    this.frame = bitmap;
    this.draw();
  }

  /** From now on pictures lie over this photo; null for pictures alone. @param {Composite | null} composite */
  setComposite(composite) {
    this.composite?.close();
    this.frame?.close();
    this.frame = null;
    this.composite = composite;
    this.draw();
  }

  /** Draw what is there. */
  draw() {
    const { canvas, context, composite, frame } = this;
    const size = composite ?? frame;
    if (!size) return;
    if (canvas.width !== size.width) canvas.width = size.width;
    if (canvas.height !== size.height) canvas.height = size.height;
    if (composite) composite.draw(context, frame);
    else if (frame) context.drawImage(frame, 0, 0);
  }
}
