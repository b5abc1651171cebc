/**
 * A steady hand. The tip of the brush is drawn after the pointer as by a spring: at every moment it moves towards the
 * pointer, and the way it makes while the pointer makes a way ds is its distance d from the pointer times ds / reach.
 *
 *     dp/ds = (q − p) / λ      p tip, q pointer, s length of the pointer's way, λ reach
 *
 * On a straight piece in direction u this has the solution
 *
 *     d(s) = λu + (d₀ − λu)·exp(−s/λ),     p = q − d
 *
 * which is evaluated exactly. What follows from that: the stroke depends on the pointer's way alone, not on how many
 * events the browser tells of it or when; the tip is never farther than λ from the pointer; straight lines stay
 * straight; corners become curves of about λ's size without a kink; and since the tip always moves towards the pointer,
 * the last straight piece to where the pen is lifted joins without a kink too. First and last point are exact. With
 * λ = 0 the tip is the pointer.
 *
 * Pressure lags as the place does.
 *
 * @typedef {import("./tool.js").Sample} Sample
 */

export class Streamline {
  /**
   * @param {number} reach λ in pixels, ≥ 0
   * @param {Sample} from where the stroke begins
   */
  constructor(reach, from) {
    this.reach = reach;
    this.pointer = from;
    this.lag = { x: 0, y: 0, pressure: 0 };
  }

  /**
   * @param {Sample} to where the pointer has gone, in a straight line
   * @returns {Sample[]} where the tip has gone: close enough together to be joined by straight lines
   */
  follow(to) {
    const { pointer: from, lag, reach } = this;
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    this.pointer = to;
    if (reach === 0) return [to];
    if (length === 0) {
      this.lag = { ...lag, pressure: lag.pressure + to.pressure - from.pressure };
      return [];
    }
    // Curves bend with a radius of about λ: steps of √λ stay an eighth of a pixel from them.
    const steps = Math.ceil(length / Math.max(1, Math.sqrt(reach)));
    const tips = [];
    for (let step = 1; step <= steps; step++) {
      const part = step / steps;
      const s = part * length;
      const fade = Math.exp(-s / reach);
      const along = (/** @type {"x" | "y" | "pressure"} */ key) => {
        const pull = (reach * (to[key] - from[key])) / length;
        return pull + (lag[key] - pull) * fade;
      };
      this.lag = { x: along("x"), y: along("y"), pressure: along("pressure") };
      tips.push({
        x: from.x + (to.x - from.x) * part - this.lag.x,
        y: from.y + (to.y - from.y) * part - this.lag.y,
        pressure: from.pressure + (to.pressure - from.pressure) * part - this.lag.pressure,
      });
    }
    return tips;
  }
}
