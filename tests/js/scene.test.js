import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { countLabels, resizeNearest } from "../../static/js/document/labelmap.js";
import { drawScene, readScenes } from "../../static/js/document/scene.js";
import { LANDSCAPE } from "./helpers.js";

const file = JSON.parse(readFileSync(new URL("../../static/scenes/scenes.json", import.meta.url), "utf8"));
const scenes = readScenes(file);
const names = new Set(LANDSCAPE.labels.map(({ name }) => name));

test("the first scene is the mountain lake, and every scene has a name of its own", () => {
  assert.equal(scenes[0].id, "mountain-lake");
  assert.ok(scenes.length >= 6);
  assert.equal(new Set(scenes.map(({ id }) => id)).size, scenes.length);
});

test("scenes are drawn by meaning in sets with other names, and what those lack is left unlabeled", () => {
  const color = /** @type {[number, number, number]} */ ([0, 0, 0]);
  const labels = [["void"], ["air", "sky"], ["plant life", "tree"], ["height", "hill"], ["building"]].map(
    ([name, ...concepts], id) => ({ id, name, concepts, color, group: "" }),
  );
  const set = { hash: null, name: "other", ignore: 0, labels };
  const counts = countLabels(drawScene(scenes[0], 64, 64, set).data);
  for (const id of [0, 1, 2, 3]) assert.ok(counts[id] > 0, `${id}`);
  assert.equal(counts[4], 0);
});

for (const scene of scenes) {
  test(`${scene.title}: known labels, all of them to be seen, none of them everything`, () => {
    for (const { label } of scene.shapes) assert.ok(names.has(label), label);
    const counts = countLabels(drawScene(scene, 256, 256, LANDSCAPE).data);
    for (const { label } of scene.shapes) {
      const { id } = LANDSCAPE.labels.find(({ name }) => name === label) ?? { id: -1 };
      assert.ok(counts[id] >= 20, `${label}: ${counts[id]} pixels`);
    }
    assert.ok(Math.max(...counts) < 0.6 * 256 * 256);
  });

  test(`${scene.title}: the same every time, and the same picture at any size`, () => {
    const map = drawScene(scene, 256, 256, LANDSCAPE);
    assert.deepEqual(drawScene(scene, 256, 256, LANDSCAPE), map);
    const large = resizeNearest(drawScene(scene, 512, 512, LANDSCAPE), 256, 256);
    const equal = large.data.filter((id, i) => id === map.data[i]).length / map.data.length;
    assert.ok(equal > 0.9, `${equal}`);
  });
}
