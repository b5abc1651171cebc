/**
 * An edited photo as it is painted: the photo, and over it the painting where labels were changed, with a border that
 * fades. It is a quick look; what is downloaded is put together by the server, from the photo itself.
 */

import { fadeInwards } from "../document/edited.js";

/** The longer side of the photo as it is shown, in pixels: screens show no more. */
const SHOWN = 1600;
/** How far the border fades inwards, in pixels of the painting: as far as the server's does by itself. */
const FADE = 8;

export class Composite {
  /**
   * @param {ImageBitmap} photo
   * @param {number} width of the painting
   * @param {number} height
   */
  constructor(photo, width, height) {
    this.photo = photo;
    this.cover = new OffscreenCanvas(width, height);
    this.painted = new OffscreenCanvas(width, height);
    this.image = new ImageData(width, height);
  }

  get width() {
    return this.photo.width;
  }

  get height() {
    return this.photo.height;
  }

  /**
   * @param {Blob} photo
   * @param {number} width of the painting
   * @param {number} height
   * @returns {Promise<Composite>}
   * @throws {DOMException} when the browser cannot read it
   */
  static async of(photo, width, height) {
    const whole = await createImageBitmap(photo);
    const scale = Math.min(1, SHOWN / Math.max(whole.width, whole.height));
    const [shownWidth, shownHeight] = [whole.width, whole.height].map((side) =>
      Math.max(1, Math.round(side * scale)),
    );
    const shown = await createImageBitmap(whole, {
      resizeWidth: shownWidth,
      resizeHeight: shownHeight,
      resizeQuality: "high",
    });
    whole.close();
    return new Composite(shown, width, height);
  }

  /** @param {Uint8Array} edited of the painting's size: 1 where the painting covers the photo */
  setEdited(edited) {
    const { width, height } = this.cover;
    const alpha = fadeInwards(edited, width, height, FADE);
    const { data } = this.image;
    for (let i = 0; i < alpha.length; i++) data[4 * i + 3] = alpha[i];
    contextOf(this.cover).putImageData(this.image, 0, 0);
  }

  /**
   * @param {CanvasRenderingContext2D} context of a canvas of this size
   * @param {ImageBitmap | null} frame the newest picture of the painting
   */
  draw(context, frame) {
    const { cover, painted, photo } = this;
    context.drawImage(photo, 0, 0);
    if (!frame) return;
    const over = contextOf(painted);
    over.globalCompositeOperation = "copy";
    over.drawImage(cover, 0, 0);
    over.globalCompositeOperation = "source-in";
    over.drawImage(frame, 0, 0, painted.width, painted.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(painted, 0, 0, photo.width, photo.height);
  }

  close() {
    this.photo.close();
  }
}

/** @param {OffscreenCanvas} canvas */
function contextOf(canvas) {
  return /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
