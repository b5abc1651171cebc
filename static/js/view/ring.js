/** The brush ring: an outline at the brush's true size. */
export class Ring {
  /** @param {HTMLElement} element at the top left corner of the pane */
  constructor(element) {
    this.element = element;
  }

  /**
   * @param {{x: number, y: number}} at in CSS pixels of the pane
   * @param {number} diameter in CSS pixels
   */
  show({ x, y }, diameter) {
    const size = Math.max(4, diameter);
    const { style } = this.element;
    style.width = `${size}px`;
    style.height = `${size}px`;
    style.transform = `translate(${x - size / 2}px, ${y - size / 2}px)`;
    this.element.hidden = false;
  }

  hide() {
    this.element.hidden = true;
  }
}
