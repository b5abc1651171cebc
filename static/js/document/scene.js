/**
 * Starter scenes: a label map described as the shapes a hand would paint, back to front, so that it can be drawn at
 * any size. Lengths are parts of the map's height; x runs from 0 to the map's width / height, stretched from 0…1.
 *
 * @typedef {[number, number]} At x and y, each 0…1 inside the picture
 * @typedef {{label: string, fill: true}} Fill everything
 * @typedef {{label: string, ridge: At[], rough?: number}} Ridge everything below a line from left to right
 * @typedef {{label: string, area: At[], rough?: number, sharp?: boolean}} Area a closed outline, rounded unless sharp
 * @typedef {{label: string, path: [number, number, number][]}} Path a ribbon: x, y and its width there
 * @typedef {{label: string, trees: [number, number, number][], kind: "conifer" | "round" | "palm"}} Trees
 *   foot x, foot y, height
 * @typedef {{label: string, row: {from: At, to: At, count: number, height: [number, number]}, kind: "conifer" | "round"}} Row
 *   trees side by side along a line
 * @typedef {{label: string, dabs: {x: [number, number], y: [number, number], count: number, size: [number, number], flat?: number}}} Dabs
 *   scattered clumps; `flat` is height over width
 * @typedef {{label: string, cloud: [number, number, number, number]}} Cloud a heap with a flat foot: the foot's
 *   middle x and y, its width and its height
 * @typedef {Fill | Ridge | Area | Path | Trees | Row | Dabs | Cloud} Shape
 * @typedef {{id: string, title: string, seed: number, light?: number, style?: string,
 *   shapes: Shape[], labels?: Labels}} Scene `light`: a seed; `style`: the id of a style, for models that offer it
 * @typedef {Record<string, string[]>} Labels the labels that scenes name, each with its concepts
 * @typedef {import("./labelset.js").LabelSet} LabelSet
 * @typedef {import("./labelmap.js").LabelMap} LabelMap
 * @typedef {import("./raster.js").Point} Point
 */
import { createMap } from "./labelmap.js";
import { idOfMeaning } from "./labelset.js";
import { capsule, polygon } from "./raster.js";

/**
 * @param {{labels: Labels, scenes: Scene[]}} file
 * @returns {Scene[]} each knows what its labels mean, so that it can be drawn in any label set
 */
export function readScenes({ labels, scenes }) {
  return scenes.map((scene) => ({ ...scene, labels }));
}

/**
 * @param {Scene} scene
 * @param {number} width
 * @param {number} height
 * @param {LabelSet} set
 * @returns {LabelMap} the same for the same arguments, everywhere
 */
export function drawScene(scene, width, height, set) {
  const map = createMap(width, height, idOfMeaning(set, { name: "sky" }));
  const random = randomNumbers(scene.seed);
  for (const shape of scene.shapes) {
    const id = idOfMeaning(set, { name: shape.label, concepts: scene.labels?.[shape.label] });
    const span = (/** @type {number} */ y, /** @type {number} */ x0, /** @type {number} */ x1) => {
      map.data.fill(id, y * width + x0, y * width + x1);
    };
    new Brush(width, height, random, span).draw(shape);
  }
  return map;
}

/**
 * Mulberry32 (T. Ettinger, public domain): small, seeded, the same in every engine.
 *
 * @param {number} seed
 * @returns {() => number} 0 ≤ x < 1
 */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

class Brush {
  /**
   * @param {number} width
   * @param {number} height
   * @param {() => number} random
   * @param {import("./raster.js").Span} span
   */
  constructor(width, height, random, span) {
    this.width = width;
    this.height = height;
    this.random = random;
    this.span = span;
  }

  /** @param {Shape} shape */
  draw(shape) {
    if ("fill" in shape) this.polygon(corners(this.width, this.height));
    else if ("ridge" in shape) this.ridge(shape.ridge.map(this.at), shape.rough ?? 0);
    else if ("area" in shape) this.area(shape.area.map(this.at), shape.rough ?? 0, shape.sharp ?? false);
    else if ("path" in shape) this.path(shape.path);
    else if ("trees" in shape)
      for (const [x, y, h] of shape.trees) this.tree(this.at([x, y]), h * this.height, shape.kind);
    else if ("row" in shape) this.row(shape);
    else if ("cloud" in shape) this.cloud(...shape.cloud);
    else this.dabs(shape.dabs);
  }

  /** @param {At} at @returns {Point} */
  at = ([x, y]) => ({ x: x * this.width, y: y * this.height });

  /** @param {Point[]} points */
  polygon(points) {
    polygon(points, this.width, this.height, this.span);
  }

  /** @param {number} least @param {number} most */
  between(least, most) {
    return least + (most - least) * this.random();
  }

  /**
   * Midpoint displacement (Fournier, Fussell and Carpenter 1982): each piece is bent at its middle by a part of its
   * length, and its halves again, down to a pixel or two.
   *
   * @param {Point[]} line
   * @param {number} rough the bend, as a part of a piece's length
   * @returns {Point[]}
   */
  roughen(line, rough) {
    if (rough === 0) return line;
    const out = [line[0]];
    const bend = (/** @type {Point} */ a, /** @type {Point} */ b) => {
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      if (Math.hypot(dx, dy) > this.height / 160) {
        const by = this.between(-rough, rough);
        const middle = { x: (a.x + b.x) / 2 - dy * by, y: (a.y + b.y) / 2 + dx * by };
        bend(a, middle);
        bend(middle, b);
      } else out.push(b);
    };
    for (let i = 1; i < line.length; i++) bend(line[i - 1], line[i]);
    return out;
  }

  /** @param {Point[]} line @param {number} rough */
  ridge(line, rough) {
    const top = this.roughen(line, rough);
    const low = this.height * 2;
    this.polygon([...top, { x: top[top.length - 1].x, y: low }, { x: top[0].x, y: low }]);
  }

  /** @param {Point[]} outline @param {number} rough @param {boolean} sharp */
  area(outline, rough, sharp) {
    const curve = sharp ? [...outline, outline[0]] : rounded(outline);
    this.polygon(this.roughen(curve, rough));
  }

  /** @param {[number, number, number][]} path */
  path(path) {
    const centre = smooth(path.map(([x, y, w]) => [x * this.width, y * this.height, w * this.height]));
    const left = centre.map(([x, y, w]) => ({ x: x - w / 2, y }));
    const right = centre.map(([x, y, w]) => ({ x: x + w / 2, y }));
    this.polygon([...left, ...right.reverse()]);
  }

  /** @param {Row} shape */
  row({ row: { from, to, count, height }, kind }) {
    for (let i = 0; i < count; i++) {
      const t = count > 1 ? i / (count - 1) : 0.5;
      const x = from[0] + (to[0] - from[0]) * t + this.between(-0.3, 0.3) / count;
      const y = from[1] + (to[1] - from[1]) * t + this.between(0, 0.012);
      this.tree(this.at([x, y]), this.between(height[0], height[1]) * this.height, kind);
    }
  }

  /** @param {Point} foot @param {number} h @param {"conifer" | "round" | "palm"} kind */
  tree(foot, h, kind) {
    if (kind === "conifer") this.conifer(foot, h);
    else if (kind === "palm") this.palm(foot, h);
    else this.roundTree(foot, h);
  }

  /** Tiers of branches, wider towards the foot. @param {Point} foot @param {number} h */
  conifer({ x, y }, h) {
    const tiers = 7;
    const half = h * this.between(0.16, 0.22);
    const left = [];
    const right = [];
    for (let tier = 1; tier <= tiers; tier++) {
      const down = y - h + (h * 0.94 * tier) / tiers;
      const reach = (half * (tier + 0.3)) / tiers;
      left.push({ x: x - reach * this.between(0.8, 1.15), y: down });
      left.push({ x: x - reach * 0.5, y: down - h * 0.012 });
      right.push({ x: x + reach * this.between(0.8, 1.15), y: down });
      right.push({ x: x + reach * 0.5, y: down - h * 0.012 });
    }
    this.polygon([{ x, y: y - h }, ...right, ...left.reverse()]);
    this.line({ x, y: y - h * 0.1 }, { x, y }, h * 0.045);
  }

  /** A trunk under a heap of clumps. @param {Point} foot @param {number} h */
  roundTree({ x, y }, h) {
    this.line({ x, y: y - h * 0.5 }, { x, y }, h * 0.07);
    const crown = h * 0.3;
    for (let i = 0; i < 14; i++) {
      const angle = i * 2.4 + this.between(-0.4, 0.4);
      const out = crown * Math.sqrt((i + this.random()) / 14);
      const at = { x: x + Math.cos(angle) * out * 1.15, y: y - h * 0.64 + Math.sin(angle) * out };
      this.line(at, at, h * this.between(0.2, 0.32));
    }
  }

  /** A bowed trunk and drooping fronds. @param {Point} foot @param {number} h */
  palm({ x, y }, h) {
    const lean = h * this.between(-0.12, 0.12);
    const top = { x: x + lean, y: y - h * 0.85 };
    this.line({ x, y }, { x: x + lean * 0.35, y: y - h * 0.45 }, h * 0.045);
    this.line({ x: x + lean * 0.35, y: y - h * 0.45 }, top, h * 0.04);
    for (let frond = 0; frond < 9; frond++) {
      const angle = Math.PI * (1.08 + (frond / 8) * 0.84) + this.between(-0.12, 0.12);
      const reach = h * this.between(0.26, 0.36);
      const knee = { x: top.x + Math.cos(angle) * reach * 0.6, y: top.y + Math.sin(angle) * reach * 0.5 };
      const tip = { x: top.x + Math.cos(angle) * reach, y: knee.y + reach * 0.42 };
      this.line(top, knee, h * 0.05);
      this.line(knee, tip, h * 0.035);
    }
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h */
  cloud(x, y, w, h) {
    const foot = h * 0.3 * this.height;
    const end = (/** @type {number} */ side) => this.at([x + side * (w / 2), y - h * 0.15]);
    this.line(end(-0.86), end(0.86), foot);
    for (let i = 0; i < 13; i++) {
      const t = (i + this.between(0.1, 0.9)) / 13;
      const swell = Math.sin(Math.PI * t) ** 0.8 * this.between(0.5, 1);
      const size = Math.max(foot * 0.8, h * 0.85 * swell * this.height);
      const at = this.at([x + (t - 0.5) * w, y - this.between(0.02, 0.08) * h]);
      this.line({ x: at.x, y: at.y - size / 2 }, { x: at.x + size * 0.2, y: at.y - size / 2 }, size);
    }
  }

  /** @param {Dabs["dabs"]} dabs */
  dabs({ x, y, count, size, flat = 0.6 }) {
    for (let i = 0; i < count; i++) {
      const down = this.between(y[0], y[1]);
      const at = this.at([this.between(x[0], x[1]), down]);
      // Nearer clumps, lower in the picture, are larger.
      const near = y[1] > y[0] ? (down - y[0]) / (y[1] - y[0]) : 1;
      const wide = (size[0] + (size[1] - size[0]) * near * this.between(0.7, 1)) * this.height;
      const outline = Array.from({ length: 9 }, (_, k) => {
        const angle = (k / 9) * 2 * Math.PI;
        const r = wide * 0.5 * this.between(0.7, 1.15);
        return { x: at.x + Math.cos(angle) * r, y: at.y + Math.sin(angle) * r * flat };
      });
      this.polygon(rounded(outline));
    }
  }

  /** @param {Point} a @param {Point} b @param {number} thickness */
  line(a, b, thickness) {
    capsule(a, b, Math.max(1, thickness), this.width, this.height, this.span);
  }
}

/** @param {number} width @param {number} height @returns {Point[]} */
function corners(width, height) {
  return [
    { x: 0, y: 0 },
    { x: width, y: 0 },
    { x: width, y: height },
    { x: 0, y: height },
  ];
}

/**
 * A closed Catmull–Rom curve through the points.
 *
 * @param {Point[]} points
 * @returns {Point[]} its first point again at the end
 */
function rounded(points) {
  const n = points.length;
  const tuples = points.map(({ x, y }) => [x, y]);
  const closed = [tuples[n - 1], ...tuples, tuples[0], tuples[1 % n]];
  return catmullRom(closed).map(([x, y]) => ({ x, y }));
}

/**
 * An open Catmull–Rom curve through the points, ends included.
 *
 * @param {number[][]} points
 * @returns {number[][]}
 */
function smooth(points) {
  return catmullRom([points[0], ...points, points[points.length - 1]]);
}

/**
 * @param {number[][]} points the first and last only give direction
 * @returns {number[][]}
 */
function catmullRom(points) {
  const steps = 12;
  const out = [points[1]];
  for (let i = 1; i + 2 < points.length; i++) {
    const [p0, p1, p2, p3] = points.slice(i - 1, i + 3);
    for (let step = 1; step <= steps; step++) {
      const t = step / steps;
      out.push(
        p1.map(
          (_, k) =>
            0.5 *
            (2 * p1[k] +
              (p2[k] - p0[k]) * t +
              (2 * p0[k] - 5 * p1[k] + 4 * p2[k] - p3[k]) * t * t +
              (3 * p1[k] - p0[k] - 3 * p2[k] + p3[k]) * t * t * t),
        ),
      );
    }
  }
  return out;
}
