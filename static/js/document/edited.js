/**
 * What of a photo is painted: the pixels whose label is not the one that was seen there, and those that are to be
 * painted anew; and how strongly the painting covers the photo there.
 *
 * @typedef {import("./document.js").LabelDocument} LabelDocument
 * @typedef {import("./rect.js").Rect} Rect
 */

/**
 * @param {LabelDocument} document one with a photo
 * @param {Rect} rect inside it
 * @param {Uint8Array} into width × height of the painting: 1 where the photo is painted over
 */
export function markEdited({ map, source, edits }, rect, into) {
  if (!source || !edits) return;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const end = y * map.width + rect.x + rect.width;
    for (let i = y * map.width + rect.x; i < end; i++) {
      into[i] = map.data[i] !== source.map.data[i] || edits.data[i] ? 1 : 0;
    }
  }
}

/** Where a stroke is too slim to fade so far, it fades over this part of the way. */
const SLIM = 1 / 4;
/** One part in so many of a box must be far inside, for its middle to fade all the way: a corner is no slim stroke. */
const BROAD = 32;

/**
 * A border that fades inwards: 0 at the edge of the marked region and everywhere outside it, 255 from `radius` pixels
 * inside on; where the region is too slim for that, over a shorter way, so that a thin stroke is seen. It is twice the
 * mean of a box around the pixel, less one; a box over the picture's edge is cut off there, so nothing fades towards it.
 *
 * @param {Uint8Array} marked width × height, 0 or 1
 * @param {number} width
 * @param {number} height
 * @param {number} radius in pixels, ≥ 1
 * @returns {Uint8ClampedArray} width × height
 */
export function fadeInwards(marked, width, height, radius) {
  const wide = boxMeans(marked, width, height, radius);
  const slim = boxMeans(marked, width, height, Math.max(1, Math.round(SLIM * radius)));
  const deep = marked.map((one, i) => (one && wide[i] >= 0.75 ? 1 : 0));
  const near = boxMeans(deep, width, height, radius);
  const alpha = new Uint8ClampedArray(width * height);
  for (let i = 0; i < alpha.length; i++) {
    if (!marked[i]) continue;
    const mean = slim[i] + (wide[i] - slim[i]) * Math.min(1, BROAD * near[i]);
    alpha[i] = 255 * (2 * mean - 1);
  }
  return alpha;
}

/**
 * @param {Uint8Array} plane width × height
 * @param {number} width
 * @param {number} height
 * @param {number} radius
 * @returns {Float32Array} the mean of a box of 2·radius + 1 pixels around each, as much of it as is inside
 */
function boxMeans(plane, width, height, radius) {
  const across = new Float32Array(width * height);
  means(plane, across, { lines: height, length: width, line: width, step: 1 }, radius);
  const both = new Float32Array(width * height);
  means(across, both, { lines: width, length: height, line: 1, step: width }, radius);
  return both;
}

/**
 * Means over 2·radius + 1 pixels along lines, as a running sum.
 *
 * @param {ArrayLike<number>} from
 * @param {Float32Array} into
 * @param {{lines: number, length: number, line: number, step: number}} layout `line`: from one line to the next
 * @param {number} radius
 */
function means(from, into, { lines, length, line, step }, radius) {
  for (let row = 0; row < lines; row++) {
    const start = row * line;
    let sum = 0;
    for (let i = 0; i < Math.min(radius, length); i++) sum += from[start + i * step];
    for (let i = 0; i < length; i++) {
      if (i + radius < length) sum += from[start + (i + radius) * step];
      if (i - radius > 0) sum -= from[start + (i - radius - 1) * step];
      const first = Math.max(0, i - radius);
      const last = Math.min(length - 1, i + radius);
      into[start + i * step] = sum / (last - first + 1);
    }
  }
}
