import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../static/js", import.meta.url));

/** Libraries of others, which any room may import: they touch neither page nor network. */
const VENDOR = fileURLToPath(new URL("../../static/vendor", import.meta.url));

/** Which rooms each room may import from, itself apart. `document` and `net` are islands. */
const MAY = /** @type {Record<string, string[]>} */ ({
  core: [],
  document: [],
  net: [],
  tools: ["document"],
  view: ["document"],
  ui: ["core", "document", "tools"],
  ".": ["core", "document", "net", "tools", "ui", "view"],
});

const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js"));

/** @param {string} file */
const roomOf = (file) => (dirname(file) === "." ? "." : file.split(/[\\/]/)[0]);

test("every import goes in the allowed direction, types included", () => {
  assert.ok(files.length > 30);
  for (const file of files) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, specifier] of text.matchAll(/(?:\bfrom |\bimport\(|^import )"([^"]+)"/gm)) {
      assert.match(specifier, /^\.\.?\/.*\.js$/, `${file}: modules are named by relative path`);
      const address = resolve(ROOT, dirname(file), specifier);
      if (dirname(address) === VENDOR) continue;
      const target = relative(ROOT, address);
      const [from, to] = [roomOf(file), roomOf(target)];
      assert.ok(from === to || MAY[from].includes(to), `${file} must not import ${target}`);
    }
  }
});

test("nothing reads pixels back from a canvas", () => {
  for (const file of files) {
    assert.doesNotMatch(readFileSync(join(ROOT, file), "utf8"), /getImageData|toDataURL|toBlob/, file);
  }
});

test("only photos are encoded anew, smaller or in another format, and only in one place", () => {
  const encoders = files.filter((file) => readFileSync(join(ROOT, file), "utf8").includes("convertToBlob"));
  assert.deepEqual(encoders, ["view/photo.js"]);
});

test("the page has no inline script, style or handler, and asks nobody else", () => {
  const page = readFileSync(new URL("../../templates/index.html", import.meta.url), "utf8");
  assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)/);
  assert.doesNotMatch(page, /<style|\sstyle=|\son\w+=/);
  for (const [, address] of page.matchAll(/(?:src|href)="([^"]*)"/g)) {
    assert.match(address, /^(\{\{ assets \}\}\/|#)/);
  }
});

test("document, tools and net run without a browser", async () => {
  for (const file of files.filter((name) => ["document", "tools", "net"].includes(roomOf(name)))) {
    await import(join(ROOT, file));
  }
});
