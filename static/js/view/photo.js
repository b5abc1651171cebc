/** Shows encoded pictures on a canvas. Decoding happens off the page's thread. */
export class PhotoView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
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
    const { canvas } = this;
    if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
    if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
  }
}
