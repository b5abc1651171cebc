/**
 * What can be done with light: choose one, roll one, mix two, for the whole picture or, while lights are painted, for
 * the part that is painted next. Codes that only the server can tell are asked for; whatever else happened meanwhile,
 * the last wish wins.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/light.js").NamedLight} NamedLight
 * @typedef {{code: number[], picture: string}} Painted the code of a light, and a small picture in it as a data URL
 */
import { t, term } from "../core/i18n.js";
import { newSeed } from "../core/ids.js";
import { MAX_REGIONS } from "../document/document.js";
import { sameLight } from "../document/light.js";
import { KeptLights } from "./strip.js";
import { noticeOf } from "./studio.js";

export const MAX_SEED = 2 ** 32 - 1;

export class Lights {
  /** @param {Studio} studio */
  constructor(studio) {
    this.studio = studio;
    /** Counts wishes, so that an answer that comes late is not taken for the newest. */
    this.wish = 0;
    this.kept = new KeptLights();
  }

  /** Whether lights are for parts of the picture at present. */
  get forPart() {
    return this.studio.state.plane === "styles";
  }

  /** The light that a choice would replace: the part's, or the whole picture's. @returns {NamedLight} */
  get chosen() {
    const { document, state } = this.studio;
    const region = this.forPart ? document.regions[state.region - 1] : undefined;
    return region ?? { title: this.titleOf(document), style: document.style, code: document.code };
  }

  /**
   * @param {{style: string | null, code: readonly number[] | null}} light
   * @returns {string} what to call it
   */
  titleOf({ style, code }) {
    const named =
      this.studio.state.models.length > 0 && this.studio.model.styles.find(({ id }) => id === style);
    if (named) return term(named.title);
    return code || style ? t("A light of its own") : t("The seed’s own light");
  }

  /**
   * @param {NamedLight} light
   * @param {number} [seed] goes with it: of its noise, and of the light itself where it has no code
   */
  async choose({ title, style, code }, seed) {
    this.keepMix();
    const { document, state } = this.studio;
    const fixed = state.seedLocked || seed === undefined;
    const known = this.studio.codeFor({ style, code }) ?? code;
    if (this.forPart && known) {
      this.wish++;
      this.#choosePart({ title, style, code: known });
    } else if (this.forPart || (fixed && style === null && code === null)) {
      await this.#chooseSeed(title, seed ?? document.seed);
    } else {
      this.wish++;
      // A style goes by its name: each model has a code of its own for it.
      const light = { style, code: style === null ? code : null };
      document.setLight(fixed ? light : { ...light, seed });
    }
  }

  /** Choose one of the model's styles; the one that is chosen is let go of. @param {string} id */
  async toggle(id) {
    const style = this.studio.model.styles.find((one) => one.id === id);
    if (!style) return;
    const letGo = !this.forPart && this.studio.document.style === id;
    if (!letGo) {
      await this.choose({ ...style, style: id });
      return;
    }
    this.wish++;
    this.studio.document.setStyle(null);
  }

  /** The dice: another light; another noise too, unless the seed is locked or the light is for a part. */
  async roll() {
    const { document, state } = this.studio;
    const seed = newSeed(document.seed);
    if (!this.forPart && !state.seedLocked) {
      this.wish++;
      document.setSeed(seed);
    } else await this.#chooseSeed(t("Light {seed}", { seed }), seed);
  }

  /** The code of a seed's light, which the server knows. @param {string} title @param {number} seed */
  async #chooseSeed(title, seed) {
    const wish = ++this.wish;
    const { document, model } = this.studio;
    const { forPart } = this;
    if (model.style_dim === 0) return;
    const painted = await this.paint({ seed, code: null });
    // Meanwhile something else may have been wished for, or what it was wished for is no longer there.
    if (!painted || wish !== this.wish || forPart !== this.forPart) return;
    if (document !== this.studio.document || model !== this.studio.model) return;
    const light = { title, style: null, code: painted.code };
    if (forPart) this.#choosePart(light);
    else document.setLight({ style: null, code: light.code });
  }

  /** @param {{title: string, style: string | null, code: readonly number[]}} light */
  #choosePart(light) {
    const { document } = this.studio;
    const known = document.regions.findIndex((region) => sameLight(region, light));
    if (known >= 0) {
      this.studio.paintLight(known + 1);
      return;
    }
    if (document.regions.length >= MAX_REGIONS) {
      this.studio.ports.say({
        what: t("There are as many lights in this picture as there may be."),
        next: t("Remove one that you do not need, or choose it to paint on."),
        key: "regions",
      });
      return;
    }
    const { title, style, code } = light;
    document.setRegions([...document.regions, { title, style, code }]);
    this.studio.paintLight(document.regions.length);
  }

  /**
   * A small picture of the painting in a light, and the light's code.
   *
   * @param {{seed: number, code: readonly number[] | null}} light
   * @returns {Promise<Painted | null>} null when there is none now, which has been said
   */
  async paint(light) {
    try {
      return await this.studio.ports.paintSmall(await this.studio.smallRequest(light));
    } catch (error) {
      this.studio.ports.say({ ...noticeOf(error, t("This light could not be asked for.")), key: "light" });
      return null;
    }
  }

  /** The code of a light; that of a seed is asked for. @param {NamedLight & {seed?: number}} light */
  async codeOf(light) {
    const code = this.studio.codeFor(light);
    if (code || this.studio.model.style_dim === 0) return code;
    return (await this.paint({ seed: light.seed ?? this.studio.document.seed, code: null }))?.code ?? null;
  }

  /**
   * Show a light that is being mixed; keepMix makes one step of all that was shown.
   *
   * @param {string} title
   * @param {readonly number[]} code
   */
  mix(title, code) {
    const { document, state } = this.studio;
    this.wish++;
    if (!this.forPart) {
      document.tryLights({ light: { style: null, code } });
      return;
    }
    const region = { title, style: null, code };
    const at = state.region === 0 ? document.regions.length : state.region - 1;
    if (at >= MAX_REGIONS) return;
    document.tryLights({ regions: document.regions.toSpliced(at, 1, region) });
    if (state.region === 0) this.studio.paintLight(at + 1);
  }

  /** The slider is let go of. */
  keepMix() {
    this.studio.document.keepLights();
  }

  /** Paint with the light that was last painted with, or with labels again. */
  togglePainting() {
    const { document, state } = this.studio;
    if (this.forPart) this.studio.setPlane("labels");
    else this.studio.paintLight(Math.min(state.region || 1, document.regions.length));
  }

  /** Remember the chosen light, with a small picture of this painting in it. */
  async like() {
    const { document, state } = this.studio;
    const light = this.chosen;
    const known = this.studio.codeFor(light);
    const painted = await this.paint({ seed: document.seed, code: known });
    if (!painted) return;
    const own = !this.forPart && known === null;
    this.kept.add({
      title: own ? t("Light {seed}", { seed: document.seed }) : light.title,
      seed: document.seed,
      style: light.style,
      code: painted.code,
      own,
      model: state.model ?? "",
      picture: painted.picture,
    });
  }

  /** Take a light that was kept. @param {import("./strip.js").KeptLight} light */
  chooseKept({ title, seed, style, code, own, model }) {
    // On its own model a seed says it all; another one has the code at most.
    const bySeed = own && model === this.studio.model.id && !this.forPart && !this.studio.state.seedLocked;
    return this.choose({ title, style, code: bySeed ? null : code }, seed);
  }
}
