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
    /** The size that the picture is shown in; a preview of a busy server has fewer pixels. */
    this.whole = { width: 0, height: 0 };
    /** The photo as it will be, while it is known. @type {ImageBitmap | null} */
    this.settled = null;
    /** Counts what was asked to be shown: what is decoded too late is not. */
    this.turn = 0;
  }

  /**
   * @param {Uint8Array} picture the bytes of a JPEG, WebP or PNG
   * @param {string} format "jpeg", "webp" or "png"
   * @param {{width: number, height: number} | null} [whole] the size that a whole picture has: a smaller one is shown
   *   enlarged to it
   * @returns {Promise<void>} when it is on the canvas, or something newer is
   * @throws {DOMException} when the bytes are no picture
   */
  async show(picture, format, whole = null) {
    const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (picture)], { type: `image/${format}` });
    const turn = ++this.turn;
    const bitmap = await createImageBitmap(blob);
    if (turn !== this.turn) {
      bitmap.close();
      return;
    }
    this.frame?.close();
    this.frame = bitmap;
    this.whole = whole && whole.width > bitmap.width ? whole : bitmap;
    this.settle(null);
  }

  /** From now on pictures lie over this photo; null for pictures alone. @param {Composite | null} composite */
  setComposite(composite) {
    this.turn++;
    this.composite?.close();
    this.frame?.close();
    this.frame = null;
    this.composite = composite;
    this.settle(null);
  }

  /** The photo with its changes as it will be, until the next picture; null to let go of it. @param {ImageBitmap | null} picture */
  settle(picture) {
    this.settled?.close();
    this.settled = picture;
    this.draw();
  }

  /** Draw what is there. */
  draw() {
    const { canvas, context, composite, frame, settled } = this;
    if (!composite && !frame) return;
    const size = composite ?? this.whole;
    if (canvas.width !== size.width) canvas.width = size.width;
    if (canvas.height !== size.height) canvas.height = size.height;
    if (settled) context.drawImage(settled, 0, 0, canvas.width, canvas.height);
    else if (composite) composite.draw(context, frame);
    else if (frame) {
      context.imageSmoothingQuality = "high";
      context.drawImage(frame, 0, 0, canvas.width, canvas.height);
    }
  }
}

/**
 * @param {Blob} photo
 * @returns {Promise<{width: number, height: number}>} as it is shown, turned upright
 * @throws {DOMException} when the browser cannot read it
 */
export async function sizeOfPhoto(photo) {
  const bitmap = await createImageBitmap(photo);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

/**
 * @param {Blob} photo
 * @param {number} side
 * @returns {Promise<Blob>} the photo itself, or a smaller copy of it whose longer side is that long
 * @throws {DOMException} when the browser cannot read it
 */
export async function reducedPhoto(photo, side) {
  const bitmap = await createImageBitmap(photo);
  if (side < Math.max(bitmap.width, bitmap.height)) return encoded(bitmap, side, "image/jpeg");
  bitmap.close();
  return photo;
}

/**
 * @param {Blob} photo
 * @param {number} [side] of the longer side at most
 * @returns {Promise<Blob>} the photo as a PNG
 * @throws {DOMException} when the browser cannot read it
 */
export async function pngOfPhoto(photo, side = Number.POSITIVE_INFINITY) {
  const bitmap = await createImageBitmap(photo);
  if (photo.type !== "image/png" || side < Math.max(bitmap.width, bitmap.height)) {
    return encoded(bitmap, side, "image/png");
  }
  bitmap.close();
  return photo;
}

/**
 * @param {Blob} photo
 * @param {{format: "png" | "webp" | "jpeg", quality?: number}} how `quality`: 1…100
 * @returns {Promise<Blob>} the photo itself where it has that format
 * @throws {DOMException} when the browser cannot read it
 */
export async function photoAs(photo, { format, quality }) {
  const type = `image/${format}`;
  if (photo.type === type) return photo;
  return encoded(await createImageBitmap(photo), Number.POSITIVE_INFINITY, type, (quality ?? 92) / 100);
}

/**
 * @param {ImageBitmap} bitmap is closed
 * @param {number} side
 * @param {string} type
 * @param {number} [quality] 0…1
 */
function encoded(bitmap, side, type, quality = 0.9) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((one) => Math.max(1, Math.round(one * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas.convertToBlob({ type, quality });
}
