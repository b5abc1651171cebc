/**
 * A mix of two lights, by a slider: shown while it moves, one step of the history when it is let go of.
 *
 * @typedef {import("./studio.js").Studio} Studio
 * @typedef {import("../document/light.js").NamedLight & {seed?: number}} Light
 */
import { t, term } from "../core/i18n.js";
import { mixCodes, sameCode } from "../document/light.js";
import { make } from "./dom.js";

const STEPS = 100;
const NOW = "now";

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 */
export function mountMix(host, studio) {
  const slider = make("input", {
    type: "range",
    min: "0",
    max: String(STEPS),
    value: "0",
    class: "mix-slider",
    "aria-label": t("Mix"),
  });
  const ends = [t("From"), t("To")].map((label) => make("select", { "aria-label": label }));
  const [first, second] = ends;
  host.append(
    make("h3", { class: "light-head" }, t("Mix two lights")),
    make("div", { class: "mix" }, first, slider, second),
  );

  /** The light that was chosen before the slider moved: what "as it is now" means. @type {Light | null} */
  let before = null;
  /** The codes at the slider's ends; asked for when it first moves. @type {Promise<(readonly number[] | null)[]> | null} */
  let codes = null;
  /** What the slider made last. @type {readonly number[] | null} */
  let made = null;
  let mixing = false;

  /** @returns {Map<string, Light>} */
  const offered = () => {
    const { lights } = studio;
    const { styles } = studio.model;
    const own = before ?? { ...lights.chosen, seed: studio.document.seed };
    return new Map([
      [NOW, own],
      ...styles.map(
        ({ id, title, code }) =>
          /** @type {const} */ ([`style ${id}`, { title: term(title), style: id, code }]),
      ),
      ...lights.kept.list
        .filter((light) => studio.codeFor(light) !== null)
        .map((light, i) => /** @type {const} */ ([`kept ${i}`, light])),
    ]);
  };

  const fill = () => {
    if (studio.state.models.length === 0 || !studio.state.document) return;
    const lights = offered();
    for (const [i, end] of ends.entries()) {
      const chosen = end.value;
      end.replaceChildren(
        ...[...lights].map(([value, { title }]) => {
          const text = value === NOW ? t("As it is now") : term(title);
          return make("option", { value }, text);
        }),
      );
      const other = [...lights.keys()][Math.min(i, lights.size - 1)];
      end.value = lights.has(chosen) ? chosen : other;
    }
    slider.disabled = lights.size < 2;
  };

  const start = () => {
    before ??= { ...studio.lights.chosen, seed: studio.document.seed };
    const lights = offered();
    codes = Promise.all(
      ends.map(async ({ value }) => {
        const light = lights.get(value);
        return light ? studio.lights.codeOf(light) : null;
      }),
    );
    return codes;
  };

  /** Forget where the slider came from: another light was chosen. */
  const reset = () => {
    before = codes = made = null;
    slider.value = "0";
  };

  const show = async () => {
    const asked = codes ?? start();
    const [a, b] = await asked;
    if (asked !== codes || !a || !b || a.length !== b.length) return;
    const part = Number(slider.value) / STEPS;
    const lights = offered();
    const [from, to] = ends.map(({ value }) => lights.get(value)?.title ?? "");
    const title = t("{from} and {to}, {percent} %", { from, to, percent: slider.value });
    made = mixCodes(a, b, part);
    mixing = true;
    studio.lights.mix(title, made);
    mixing = false;
  };

  let dragging = Promise.resolve();
  slider.addEventListener("input", () => {
    slider.setAttribute("aria-valuetext", `${slider.value} %`);
    dragging = show();
  });
  slider.addEventListener("change", async () => {
    await dragging;
    studio.lights.keepMix();
  });
  for (const end of ends) {
    end.addEventListener("change", () => {
      codes = null;
      slider.value = "0";
    });
  }

  studio.store.watch(["document", "model", "models"], () => {
    reset();
    fill();
  });
  studio.lights.kept.listeners.add(fill);
  studio.store.watch(["style", "code", "seed", "plane", "region", "regions"], () => {
    if (mixing || !studio.state.document || studio.state.models.length === 0) return;
    const { code } = studio.lights.chosen;
    if (!made || !sameCode(code, made)) reset();
  });
}
