/**
 * The panel of photo editing: without a photo it invites to open one, with one it holds the brushes and commands that
 * only make sense over a photo.
 *
 * @typedef {import("./studio.js").Studio} Studio
 */
import { t } from "../core/i18n.js";
import { make } from "./dom.js";

const BRUSHES = ["photo-labels", "photo-anew", "photo-restore"];

/**
 * @param {HTMLElement} host
 * @param {Studio} studio
 * @returns {{share: (share: number) => void}} `share`: how much of the photo is painted over, 0…1
 */
export function mountPhotoPanel(host, studio) {
  const brushes = make(
    "div",
    { class: "photo-brushes", role: "toolbar", "aria-label": t("What the tools do to the photo") },
    ...BRUSHES.map((id) => button(id, "photo-brush")),
  );
  const invitation = make(
    "div",
    { class: "photo-invitation" },
    make("p", {}, t("Open a photo and paint on its labels: only what you change is painted anew.")),
    button("open-photo", "button wide"),
  );
  const shown = make("p", { class: "photo-share", role: "status" });
  const editing = make(
    "div",
    { class: "photo-editing" },
    brushes,
    shown,
    make(
      "div",
      { class: "photo-commands" },
      button("photo-another", "button wide"),
      button("photo-apply", "button wide"),
      button("open-photo", "button wide"),
    ),
  );
  host.replaceChildren(invitation, editing);

  studio.store.watch(["document"], ({ document: painting }) => {
    const photo = Boolean(painting?.source);
    invitation.hidden = photo;
    editing.hidden = !photo;
    // The brushes of a photo are no use without one.
    if (!photo && ["anew", "restore"].includes(studio.state.plane)) studio.setPlane("labels");
  });

  return {
    share(share) {
      shown.textContent =
        share === 0
          ? t("Nothing of the photo is changed yet.")
          : t("{percent} % of the photo is painted; the rest stays as it is, to the pixel.", {
              percent: Math.max(1, Math.round(100 * share)),
            });
    },
  };
}

/**
 * A button that `mountButtons` dresses from the action table.
 *
 * @param {string} id
 * @param {string} style
 */
function button(id, style) {
  return make("button", { type: "button", class: style, "data-action": id, "data-text": "" });
}
