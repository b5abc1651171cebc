/** Files in and out of the page: choose, drop, paste, download. */

/** Bytes up to which a file is taken into the page's memory. */
const MOST_TAKEN = 64 * 1024 * 1024;

/**
 * @param {(file: File) => void} onFile one that was dropped or pasted
 */
export function mountFiles(onFile) {
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.dataset.dropping = "";
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) delete document.body.dataset.dropping;
  });
  addEventListener("drop", (event) => {
    delete document.body.dataset.dropping;
    // Somebody below has taken it: a reference photo, dropped where lights are mixed.
    if (event.defaultPrevented) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) taken(file).then(onFile);
  });
  addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    taken(file).then(onFile);
  });

  return {
    /**
     * @param {string} [accept] types of files
     * @returns {Promise<File | null>} null when nothing was chosen
     */
    choose(accept = "image/png,.png") {
      const input = document.createElement("input");
      input.type = "file";
      input.accept = accept;
      return new Promise((resolve) => {
        input.addEventListener("change", () => resolve(input.files?.[0] ? taken(input.files[0]) : null));
        input.addEventListener("cancel", () => resolve(null));
        input.click();
      });
    },

    /**
     * @param {Blob} file
     * @param {string} name
     */
    download(file, name) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = name;
      link.click();
      // Some browsers read the address a moment after the click.
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    },
  };
}

/**
 * A file of the page's own: the one on the disk may be changed or deleted while a painting still needs it.
 *
 * @param {File} file
 * @returns {Promise<File>} the file itself where it is very large or cannot be read; whoever reads it will say so
 */
async function taken(file) {
  if (file.size > MOST_TAKEN) return file;
  const { name, type, lastModified } = file;
  return file.arrayBuffer().then(
    (bytes) => new File([bytes], name, { type, lastModified }),
    () => file,
  );
}
