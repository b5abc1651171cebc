import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ACTIONS } from "../../static/js/ui/actions.js";

const ROOT = new URL("../../", import.meta.url);
const read = (/** @type {string} */ path) => readFileSync(new URL(path, ROOT), "utf8");

const sources = readdirSync(new URL("static/js", ROOT), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".js"))
  .map((file) => ({ file, text: read(`static/js/${file}`) }));
const page = read("templates/index.html");
const { texts, names } = JSON.parse(read("static/locale/zh-CN.json"));

const STRING = /"((?:[^"\\\n]|\\.)*)"|`([^`$\\]*)`/g;

/** The string literals of a piece of source. @param {string} source */
function literals(source) {
  return [...source.matchAll(STRING)].map(([, quoted, plain]) =>
    quoted === undefined ? plain : JSON.parse(`"${quoted}"`),
  );
}

/**
 * The first argument, or all of them, of every call of a function, as source.
 *
 * @param {string} text
 * @param {RegExp} name
 * @param {boolean} all
 */
function* callsOf(text, name, all) {
  for (const match of text.matchAll(name)) {
    let depth = 1;
    let end = match.index + match[0].length;
    for (let quote = ""; depth > 0 && end < text.length; end++) {
      const sign = text[end];
      if (quote) {
        if (sign === "\\") end++;
        else if (sign === quote) quote = "";
      } else if (`"'\``.includes(sign)) quote = sign;
      else if ("([{".includes(sign)) depth++;
      else if (")]}".includes(sign)) depth--;
      else if (sign === "," && depth === 1 && !all) break;
    }
    yield text.slice(match.index + match[0].length, end);
  }
}

/** Every text that is shown in the painter's language, with where it stands. */
function wanted() {
  /** @type {Map<string, string>} */
  const found = new Map();
  const add = (/** @type {string} */ text, /** @type {string} */ where) => {
    if (/\p{L}/u.test(text)) found.set(text, where);
  };
  for (const { file, text } of sources) {
    for (const call of callsOf(text, /(?<![\w.])t\(/g, false)) {
      // What is read from somewhere else has been taken where it stands.
      if (!/getAttribute/.test(call)) for (const one of literals(call)) add(one, file);
    }
    for (const call of callsOf(
      text,
      /(?:new (?:DocumentError|ServerError)|(?<!function )\bwrong)\(/g,
      true,
    )) {
      // Not what stands in code within the braces of a template, nor header names.
      for (const one of literals(call)) if (/\s/.test(one)) add(one, file);
    }
    if (file === "net/closes.js") {
      for (const [, one] of text.matchAll(/(?:title|detail|next|why): "([^"]+)"/g)) add(one, file);
    }
    if (file === "net/rest.js") {
      for (const [, one] of text.matchAll(/"([^"]* again in [^"]*)"/g)) add(one, file);
    }
    if (file === "ui/guide.js") for (const [, one] of text.matchAll(/text: "([^"]+)"/g)) add(one, file);
  }
  for (const { title, short, hint, group } of ACTIONS) {
    for (const one of [title, short, hint, group]) if (one) add(one, "ui/actions.js");
  }
  const clean = (/** @type {string} */ one) => one.replace(/\s+/g, " ").trim();
  for (const [, one] of page.matchAll(/data-i18n>([^<]+)</g)) add(clean(one), "index.html");
  for (const [tag] of page.matchAll(/<[^>]*data-i18n-label[^>]*>/g)) {
    add(clean(/aria-label="([^"]+)"/.exec(tag)?.[1] ?? ""), "index.html");
  }
  for (const [tag] of page.matchAll(/<[^>]*data-i18n-hint[^>]*>/g)) {
    add(clean(/placeholder="([^"]+)"/.exec(tag)?.[1] ?? ""), "index.html");
  }
  return found;
}

const placeholders = (/** @type {string} */ text) => (text.match(/\{\w+\}/g) ?? []).sort().join(" ");

test("every text has a Chinese one", () => {
  const missing = [...wanted()]
    .filter(([text]) => !(text in texts))
    .map(([text, file]) => `${file}: ${text}`);
  assert.deepEqual(missing, []);
});

test("no Chinese text is left over", () => {
  const known = new Set([...wanted().keys(), ...sources.flatMap(({ text }) => literals(text))]);
  assert.deepEqual(
    Object.keys(texts).filter((text) => !known.has(text)),
    [],
  );
});

test("values go where they belong in both languages", () => {
  for (const [text, chinese] of Object.entries(texts)) {
    assert.equal(placeholders(chinese), placeholders(text), text);
    assert.ok(chinese.trim() && !/\s$/.test(chinese), text);
  }
});

test("names of the built-in labels, their groups, lights and starter scenes are translated", () => {
  const { scenes } = JSON.parse(read("static/scenes/scenes.json"));
  for (const { title } of scenes) assert.ok(names[title], title);
  for (const name of LANDSCAPE) assert.ok(names[name], name);
});

/** The labels and groups of the built-in model: models/labels.py. */
const LANDSCAPE = [
  ...["sky", "clouds", "mountain", "hill", "snow", "rock", "dirt", "sand", "grass", "flower", "bush", "tree"],
  ...["sea", "river", "road", "house", "unlabeled", "land", "plants", "water", "built", "other"],
  ...["Morning", "Noon", "Golden hour", "Sunset", "Dusk", "Overcast", "Haze", "Autumn", "Winter light"],
];
