/**
 * The brush ring: an outline at the brush's true size, over a canvas of a known number of map pixels.
 */
export class Ring {
  /** @param {HTMLElement} element a positioned element inside the canvas's frame */
  constructor(element) {
    this.element = element;
  }

  /**
   * @param {{x: number, y: number}} at in map pixels
   * @param {number} diameter in map pixels
   * @param {number} scale CSS pixels per map pixel
   */
  show({ x, y }, diameter, scale) {
    const size = Math.max(4, diameter * scale);
    const { style } = this.element;
    style.width = `${size}px`;
    style.height = `${size}px`;
    style.transform = `translate(${x * scale - size / 2}px, ${y * scale - size / 2}px)`;
    this.element.hidden = false;
  }

  hide() {
    this.element.hidden = true;
  }
}
