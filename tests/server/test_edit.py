"""POST /edit: what is outside the region stays to the bit, and what is asked for happens inside."""

import asyncio
import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from engine import Library
from models.labels import load_label_set
from server.editing.seam import measure
from server.photos import decode_photo
from tests.server.conftest import Client, palette_png, run
from tests.server.photographs import KINDS, blob, chunk, exif_chunk, mask, pillow, png, read_png, samples
from tests.server.tiny_server import problem, tiny_library

JSON = {"Accept": "application/json"}
SEA, GRASS, SKY = 13, 8, 1


@pytest.fixture
def library() -> Library:
    return tiny_library()


async def edited(
    http: httpx.AsyncClient, image: bytes, region: np.ndarray | None, **fields: Any
) -> httpx.Response:
    """Fields that are bytes go as files."""
    files = {name: value for name, value in fields.items() if isinstance(value, bytes)}
    if region is not None:
        files["region"] = mask(region)
    data = {name: str(value) for name, value in fields.items() if not isinstance(value, bytes)}
    return await http.post("/edit", files={"image": image, **files}, data=data)


def pixels_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return decode_photo(response.content, 1 << 24).samples


# Outside


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_outside_every_kind_of_picture_stays_to_the_bit(client: Client, kind: str, depth: int) -> None:
    random = np.random.default_rng(KINDS[kind] * depth)

    async def main() -> None:
        async with client() as http:
            for action in ({"action": "relabel", "label": "sea"}, {"action": "resample"}):
                for blend in ("pyramid", "feather", "poisson"):
                    width, height = (int(side) for side in random.integers(20, 90, 2))
                    source = samples(int(random.integers(1 << 30)), width, height, KINDS[kind], depth)
                    region = blob(
                        int(random.integers(1 << 30)), width, height, float(random.uniform(0.05, 0.6))
                    )
                    answer = await edited(http, png(source), region, blend=blend, **action)
                    assert answer.headers["content-type"] == "image/png"
                    assert answer.headers["x-exact"] == "true"
                    result = read_png(answer.content)
                    # 16-bit grey with alpha comes back as RGB with alpha, which says the same.
                    same = source[..., [0, 0, 0, 1]] if (kind, depth) == ("grey-alpha", 16) else source
                    assert result.dtype == source.dtype
                    assert result.shape == same.shape
                    assert np.array_equal(result[~region], same[~region])
                    if kind.endswith("alpha"):
                        assert np.array_equal(result[..., -1], same[..., -1])
                    assert (result[region] != same[region]).any()

    run(main())


def test_outside_stays_for_random_regions_sizes_and_feathers(client: Client) -> None:
    random = np.random.default_rng(5)

    async def main() -> None:
        async with client() as http:
            for number in range(24):
                width, height = (int(side) for side in random.integers(8, 200, 2))
                source = samples(number, width, height, depth=(8, 16)[number % 2])
                region = random.random((height, width)) < random.uniform(0.01, 0.9)
                region[height // 2, width // 2] = True
                answer = await edited(
                    http,
                    png(source),
                    region,
                    action="resample",
                    feather=float(random.uniform(0, 40)),
                    seed=number,
                )
                assert np.array_equal(read_png(answer.content)[~region], source[~region])

    run(main())


def test_big_pictures_are_edited_in_a_crop_and_keep_their_size(client: Client) -> None:
    source = samples(1, 700, 500, 4, 16)
    region = np.zeros((500, 700), bool)
    region[300:340, 400:470] = True

    async def main() -> None:
        async with client() as http:
            fields = {"action": "relabel", "label": "rock", "seed": "4"}
            answer = await http.post(
                "/edit", files={"image": png(source), "region": mask(region)}, data=fields, headers=JSON
            )
            said = answer.json()
            assert (said["width"], said["height"]) == (700, 500)
            box = said["painted"]["box"]
            assert box["width"] < 200
            assert box["x"] <= 400
            assert box["x"] + box["width"] >= 470
            assert max(said["painted"]["width"], said["painted"]["height"]) <= 64
            assert said["region_pixels"] == 40 * 70
            result = read_png(base64.b64decode(said["image"]))
            assert np.array_equal(result[~region], source[~region])
            assert (result[300:340, 400:470, :3] != source[300:340, 400:470, :3]).mean() > 0.9
            assert np.array_equal(result[..., 3], source[..., 3])

    run(main())


def test_other_files_are_edited_as_what_they_show(client: Client) -> None:
    source = samples(2, 40, 30)
    region = blob(3, 40, 30)
    palette = Image.fromarray(source).quantize(40)
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=5)

    async def main() -> None:
        async with client() as http:
            for image in (
                file.getvalue(),
                pillow(source, "JPEG"),
                pillow(source, "WEBP", quality=70),
                pillow(samples(4, 40, 30, 4), "WEBP", lossless=True, exact=True),
            ):
                shown = decode_photo(image, 1 << 20).samples
                answer = await edited(http, image, region, action="resample", seed=1)
                assert answer.headers["content-type"] == "image/png"
                assert np.array_equal(pixels_of(answer)[~region], shown[~region])

    run(main())


def test_a_picture_that_lies_on_its_side_is_set_upright(client: Client) -> None:
    source = samples(5, 40, 24)
    upright = np.rot90(source, -1)
    region = blob(6, 24, 40)

    async def main() -> None:
        async with client() as http:
            answer = await edited(http, png(source, exif_chunk(6)), region, action="resample", seed=1)
            result = read_png(answer.content)
            assert result.shape == (40, 24, 3)
            assert np.array_equal(result[~region], upright[~region])
            assert Image.open(io.BytesIO(answer.content)).getexif().get(0x0112) is None

    run(main())


def test_lossless_webp_is_exact_and_jpeg_says_that_it_is_not(client: Client) -> None:
    source = samples(7, 50, 40)
    region = blob(8, 50, 40)

    async def main() -> None:
        async with client() as http:
            webp = await edited(http, png(source), region, action="resample", format="webp")
            assert webp.headers["content-type"] == "image/webp"
            assert webp.headers["x-exact"] == "true"
            assert np.array_equal(pixels_of(webp)[~region], source[~region])
            jpeg = await edited(http, png(source), region, action="resample", format="jpeg", quality=95)
            assert jpeg.headers["content-type"] == "image/jpeg"
            assert jpeg.headers["x-exact"] == "false"
            off = np.abs(pixels_of(jpeg)[~region].astype(int) - source[~region])
            assert 0 < off.mean() < 6

    run(main())


def test_the_accept_header_never_makes_a_picture_inexact_unasked(client: Client) -> None:
    source, region = samples(9, 30, 30), blob(10, 30, 30)

    async def main() -> None:
        async with client() as http:
            for accept, media in (
                ("*/*", "image/png"),
                ("image/avif,image/webp,image/*,*/*;q=0.8", "image/png"),
                ("image/webp", "image/webp"),
                ("image/jpeg", "image/jpeg"),
            ):
                answer = await http.post(
                    "/edit",
                    files={"image": png(source), "region": mask(region)},
                    data={"action": "resample"},
                    headers={"Accept": accept},
                )
                assert answer.headers["content-type"] == media
            problem(
                await http.post(
                    "/edit",
                    files={"image": png(source)},
                    headers={"Accept": "text/html"},
                    data={"action": "resample"},
                ),
                406,
                "not-acceptable",
            )

    run(main())


def test_formats_that_would_lose_something_are_refused(client: Client) -> None:
    region = blob(11, 24, 24)

    async def main() -> None:
        async with client() as http:
            deep, clear = png(samples(1, 24, 24, 3, 16)), png(samples(1, 24, 24, 4))
            for image, name in ((deep, "webp"), (deep, "jpeg"), (clear, "jpeg")):
                answer = await edited(http, image, region, action="resample", format=name)
                problem(answer, 422, "format-too-small")

    run(main())


# Inside


def test_equal_requests_give_equal_bytes_and_seeds_differ(client: Client) -> None:
    source, region = samples(12, 60, 60), blob(13, 60, 60)

    async def main() -> None:
        async with client() as http:
            fields = {"action": "relabel", "label": GRASS}
            first = await edited(http, png(source), region, seed=3, **fields)
            await edited(http, png(source), region, seed=9, action="resample")
            again = await edited(http, png(source), region, seed=3, **fields)
            other = await edited(http, png(source), region, seed=4, **fields)
            assert first.content == again.content
            assert first.headers["x-seed"] == "3"
            assert first.content != other.content
            drawn = await edited(http, png(source), region, **fields)
            seed = drawn.headers["x-seed"]
            assert (await edited(http, png(source), region, seed=seed, **fields)).content == drawn.content

    run(main())


def test_relabel_paints_the_label_that_was_asked_for(client: Client) -> None:
    source, region = samples(14, 60, 60), blob(15, 60, 60, 0.4)
    labels = np.full((60, 60), SKY, np.uint8)

    async def main() -> None:
        async with client() as http:
            before = palette_png(labels)
            by_name = await edited(
                http, png(source), region, action="relabel", label="sea", map=before, seed=1
            )
            by_id = await edited(http, png(source), region, action="relabel", label=SEA, map=before, seed=1)
            grass = await edited(
                http, png(source), region, action="relabel", label="grass", map=before, seed=1
            )
            assert by_name.content == by_id.content
            assert by_name.content != grass.content
            assert "x-segmenter" not in by_name.headers
            after = labels.copy()
            after[region] = SEA
            drawn = await edited(
                http, png(source), None, action="relabel", map=before, new_map=palette_png(after), seed=1
            )
            # The region is where the maps differ.
            assert np.array_equal(pixels_of(drawn), pixels_of(by_name))

    run(main())


def test_maps_of_any_size_are_stretched_over_the_picture(client: Client) -> None:
    source = samples(16, 80, 80)
    region = np.zeros((80, 80), bool)
    region[20:60, 20:60] = True
    large = np.full((80, 80), SKY, np.uint8)
    large[:, 40:] = GRASS

    async def main() -> None:
        async with client() as http:
            answers = [
                await edited(
                    http, png(source), where, action="relabel", label=SEA, map=palette_png(labels), seed=1
                )
                for labels in (large, large[::20, ::20])
                for where in (region, region[::20, ::20])
            ]
            assert len({pixels_of(answer).tobytes() for answer in answers}) == 1

    run(main())


def test_resample_keeps_the_labels_and_takes_another_style(client: Client) -> None:
    source, region = samples(17, 60, 60), blob(18, 60, 60, 0.4)
    labels = palette_png(np.full((60, 60), GRASS, np.uint8))

    async def main() -> None:
        async with client() as http:
            same = await edited(http, png(source), region, action="relabel", label=GRASS, map=labels, seed=2)
            anew = await edited(http, png(source), region, action="resample", map=labels, seed=2)
            assert np.array_equal(pixels_of(same), pixels_of(anew))
            own = (await http.post("/styles", files={"image": png(source)})).json()["style"]
            said = await edited(
                http, png(source), region, action="resample", map=labels, seed=2, style=json.dumps(own)
            )
            assert np.array_equal(pixels_of(said), pixels_of(anew))
            styled = await edited(
                http, png(source), region, action="resample", map=labels, seed=2, style=json.dumps([4.0] * 8)
            )
            assert not np.array_equal(pixels_of(styled), pixels_of(anew))

    run(main())


def test_a_segmenter_reads_what_no_map_says(client: Client) -> None:
    source, region = samples(19, 60, 60), blob(20, 60, 60)

    async def main() -> None:
        async with client() as http:
            answer = await edited(http, png(source), region, action="resample", seed=1)
            assert answer.headers["x-segmenter"] == "reader"
            named = await edited(http, png(source), region, action="resample", seed=1, segmenter="reader")
            assert named.content == answer.content
            unknown = await edited(http, png(source), region, action="resample", segmenter="nobody")
            assert "reader" in problem(unknown, 404, "unknown-segmenter")["detail"]

    run(main())


def test_models_without_an_encoder_edit_too(client: Client) -> None:
    source, region = samples(21, 64, 64), blob(22, 64, 64)

    async def main() -> None:
        async with client() as http:
            answer = await edited(http, png(source), region, action="relabel", label=SEA, model="plain")
            assert answer.headers["x-model"] == "plain"
            assert np.array_equal(pixels_of(answer)[~region], source[~region])

    run(main())


def test_restore_brings_the_photo_back(client: Client) -> None:
    region = blob(23, 64, 48)

    async def main() -> None:
        async with client() as http:
            for depth in (8, 16):
                original = samples(24, 64, 48, 3, depth)
                file = png(original)
                changed = await edited(http, file, region, action="relabel", label=SEA, seed=1)
                back = await edited(http, changed.content, region, action="restore", source=file, feather=0)
                assert np.array_equal(read_png(back.content), original)
                assert "x-seed" not in back.headers
                soft = read_png(
                    (await edited(http, changed.content, region, action="restore", source=file)).content
                )
                assert not np.array_equal(soft, original)
                assert np.array_equal(soft[~region], original[~region])
            # A source of another kind is brought to the picture's.
            grey = samples(25, 64, 48, 1)
            coloured = await edited(
                http, png(grey), region, action="restore", source=png(original), feather=0
            )
            assert read_png(coloured.content).shape == (48, 64, 1)
            deep = await edited(http, png(original), region, action="restore", source=png(grey), feather=0)
            wanted = np.broadcast_to(grey.astype(np.uint16) * 257, (48, 64, 3))
            assert np.array_equal(read_png(deep.content)[region], wanted[region])

    run(main())


def test_a_pictures_own_map_seed_and_style_are_used(client: Client) -> None:
    """A PNG that was made with embed_map is edited in its own light, and repainting it changes nothing."""
    labels = np.full((64, 64), SKY, np.uint8)
    labels[30:] = GRASS
    region = np.zeros((64, 64), bool)
    region[20:44, 20:44] = True

    async def main() -> None:
        async with client() as http:
            made = await http.post(
                "/generate",
                files={"mask": palette_png(labels)},
                data={"seed": "6", "format": "png", "embed_map": "true"},
            )
            picture = read_png(made.content)
            changed = labels.copy()
            changed[region] = SEA
            whole = await http.post(
                "/generate", files={"mask": palette_png(changed)}, data={"seed": "6", "format": "png"}
            )
            answer = await edited(
                http, made.content, region, action="relabel", label=SEA, feather=0, blend="feather"
            )
            assert "x-segmenter" not in answer.headers
            assert answer.headers["x-seed"] == "6"
            off = np.abs(read_png(answer.content).astype(int) - read_png(whole.content))[region]
            # The same model, seed and style: what is put in is what the whole picture would have had, but
            # for colours matched at the border.
            assert off.mean() < 12
            same = await edited(http, made.content, region, action="relabel", new_map=palette_png(labels))
            assert np.abs(read_png(same.content).astype(int) - picture).max() <= 1
            # The map goes on with the picture, and says what stands there now.
            text = json.loads(Image.open(io.BytesIO(answer.content)).info["scenebrush"])
            assert text["origin"] == "edited"
            inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(text["map"]))))
            assert np.array_equal(inside, changed)
            again = await edited(http, answer.content, region, action="resample", seed=2)
            assert "x-segmenter" not in again.headers

    run(main())


def test_a_lying_text_in_a_png_is_passed_over(client: Client) -> None:
    source, region = samples(26, 32, 32), blob(27, 32, 32)

    def text(value: object) -> bytes:
        content = json.dumps(value).encode() if not isinstance(value, bytes) else value
        return chunk(b"iTXt", b"scenebrush\0\0\0\0\0" + content)

    said = {"format": "scenebrush-picture", "version": 1, "origin": "generated", "model": "tiny", "seed": 1}
    label_set = {**load_label_set("landscape17").to_json()}
    lies: list[object] = [
        b"\xff\xfe",
        b"[" * 5000,
        [],
        {**said, "version": 2},
        {**said, "model": 7},
        {**said, "model": "tiny", "seed": -5, "style": ["a"]},
        {**said, "style": [1e30] * 8, "label_set": {"labels": 3}},
        {**said, "style": [True] * 8, "label_set": label_set, "map": "not base64!"},
        {**said, "label_set": label_set, "map": base64.b64encode(b"GIF89a").decode()},
        {**said, "label_set": label_set, "map": base64.b64encode(png(samples(1, 8, 8))).decode()},
    ]

    async def main() -> None:
        async with client() as http:
            for lie in lies:
                answer = await edited(http, png(source, text(lie)), region, action="resample", seed=1)
                assert np.array_equal(pixels_of(answer)[~region], source[~region])
                assert answer.headers["x-segmenter"] == "reader"

    run(main())


def test_the_file_says_that_it_is_a_composite(client: Client) -> None:
    source, region = samples(28, 32, 32), blob(29, 32, 32)

    async def main() -> None:
        async with client() as http:
            for name, image in (("png", png(source)), ("webp", png(source)), ("jpeg", png(source))):
                answer = await edited(http, image, region, action="resample", format=name)
                assert b"compositeWithTrainedAlgorithmicMedia" in answer.content
            deep = await edited(http, png(samples(1, 32, 32, 3, 16)), region, action="resample")
            assert b"compositeWithTrainedAlgorithmicMedia" in deep.content

    run(main())


def test_json_in_and_out(client: Client) -> None:
    source, region = samples(30, 40, 40), blob(31, 40, 40)

    async def main() -> None:
        async with client() as http:
            body = {
                "image": base64.b64encode(png(source)).decode(),
                "region": base64.b64encode(mask(region)).decode(),
                "action": "relabel",
                "label": "sea",
                "seed": 5,
            }
            said = (await http.post("/edit", json=body, headers=JSON)).json()
            assert said["exact"] is True
            assert (said["action"], said["model"], said["seed"], said["blend"]) == (
                "relabel",
                "tiny",
                5,
                "pyramid",
            )
            assert len(said["style"]) == 8
            assert said["segmenter"] == "reader"
            assert said["feather"] > 0
            plain = await http.post("/edit", json=body)
            assert base64.b64decode(said["image"]) == plain.content
            form = await edited(http, png(source), region, action="relabel", label="sea", seed=5)
            assert form.content == plain.content
            restored = {**body, "action": "restore", "source": body["image"]}
            del restored["label"], restored["seed"]
            said = (await http.post("/edit", json=restored, headers=JSON)).json()
            assert (said["seed"], said["painted"], said["style"]) == (None, None, [])

    run(main())


def test_the_seam_does_not_show(client: Client) -> None:
    random = np.random.default_rng(1)

    async def main() -> None:
        async with client() as http:
            ratios = []
            for number in range(6):
                labels = np.full((96, 96), int(random.choice([SKY, GRASS, SEA])), np.uint8)
                made = await http.post(
                    "/generate",
                    files={"mask": palette_png(labels)},
                    data={"seed": str(number), "format": "png"},
                )
                region = blob(number, 96, 96)
                answer = await http.post(
                    "/edit",
                    files={"image": made.content, "region": mask(region), "map": palette_png(labels)},
                    data={"action": "resample", "seed": str(number + 50)},
                    headers=JSON,
                )
                said = answer.json()
                picture = read_png(base64.b64decode(said["image"]))
                ratios.append(measure(picture, region, said["feather"]).ratio)
            assert np.median(ratios) <= 1.5, ratios

    run(main())


# Errors


def test_what_is_missing_or_does_not_fit_is_said(client: Client) -> None:
    source, region = samples(32, 24, 20), blob(33, 24, 20)
    file, where = png(source), mask(region)
    labels = palette_png(np.full((20, 24), SKY, np.uint8))

    async def main() -> None:
        async with client() as http:

            async def ask(files: dict[str, bytes], **data: str) -> httpx.Response:
                return await http.post("/edit", files=files, data=data)

            problem(await ask({"region": where}, action="resample"), 422, "no-file")
            problem(await ask({"image": file}, action="resample"), 422, "no-file")
            problem(await ask({"image": file, "region": where}, action="restore"), 422, "no-file")
            problem(await ask({"image": file, "region": where}), 422, "invalid-value")
            problem(await ask({"image": file, "region": where}, action="erase"), 422, "invalid-value")
            both = await ask(
                {"image": file, "region": where, "new_map": labels}, action="relabel", label="sea"
            )
            assert "both" in problem(both, 422, "invalid-value")["detail"]
            neither = await ask({"image": file, "region": where}, action="relabel")
            assert "neither" in problem(neither, 422, "invalid-value")["detail"]
            problem(
                await ask({"image": file, "region": where}, action="resample", label="sea"),
                422,
                "invalid-value",
            )
            problem(
                await ask({"image": file, "region": where, "new_map": labels}, action="resample"),
                422,
                "invalid-value",
            )
            unknown = await ask({"image": file, "region": where}, action="relabel", label="lava")
            assert "lava" in problem(unknown, 422, "no-such-label")["detail"]
            problem(
                await ask({"image": file, "region": where}, action="relabel", label="99"),
                422,
                "no-such-label",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", feather="-1"),
                422,
                "invalid-value",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", blend="glue"),
                422,
                "invalid-value",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", what="x"), 422, "invalid-value"
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", model="none"),
                404,
                "unknown-model",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", style="none"),
                422,
                "unknown-style",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", style="[1]"),
                422,
                "not-paintable",
            )
            problem(
                await ask({"image": file, "region": where}, action="resample", style="[1,"),
                422,
                "invalid-value",
            )
            empty = mask(np.zeros((20, 24), bool))
            problem(await ask({"image": file, "region": empty}, action="resample"), 422, "empty-region")
            problem(
                await ask({"image": file, "map": labels, "new_map": labels}, action="relabel"),
                422,
                "empty-region",
            )
            problem(
                await ask({"image": b"GIF89a", "region": where}, action="resample"), 415, "unsupported-photo"
            )
            problem(
                await ask({"image": file, "region": pillow(source, "JPEG")}, action="resample"),
                415,
                "unsupported-region",
            )
            strange = palette_png(np.full((20, 24), 99, np.uint8))
            problem(
                await ask({"image": file, "region": where, "map": strange}, action="resample"),
                422,
                "unknown-label",
            )
            small = png(samples(1, 10, 10))
            assert (
                "10×10"
                in problem(
                    await ask({"image": file, "region": where, "source": small}, action="restore"),
                    422,
                    "source-size",
                )["detail"]
            )
            problem(
                await http.post("/edit", content=b"x", headers={"Content-Type": "text/plain"}),
                415,
                "unsupported-body",
            )
            problem(await http.post("/edit", json=[1]), 400, "unreadable-body")
            problem(
                await http.post("/edit", json={"image": "%%%", "action": "resample"}), 400, "unreadable-body"
            )
            twice = [("image", file), ("image", file), ("region", where)]
            problem(
                await http.post("/edit", files=twice, data={"action": "resample"}), 400, "unreadable-body"
            )

    run(main())


def test_limits_on_photos_and_maps(client: Client) -> None:
    async def main() -> None:
        async with client(max_photo_pixels=5000, max_map_pixels=4096) as http:
            region = np.ones((50, 101), bool)
            answer = await edited(http, png(samples(1, 101, 50)), region, action="resample")
            problem(answer, 413, "photo-too-large")
            region = np.ones((50, 100), bool)
            ok = png(samples(1, 100, 50))
            assert (await edited(http, ok, region, action="resample")).status_code == 200
            labels = palette_png(np.full((65, 65), SKY, np.uint8))
            problem(await edited(http, ok, region, action="resample", map=labels), 413, "mask-too-large")
            huge = np.ones((80, 80), bool)
            problem(await edited(http, ok, huge, action="resample"), 413, "photo-too-large")

    run(main())


def test_few_photos_are_held_at_once_and_the_others_wait(client: Client) -> None:
    source, region = samples(34, 64, 64), blob(35, 64, 64)

    async def main() -> None:
        async with client() as http:
            answers = await asyncio.gather(
                *(
                    edited(http, png(source), region, action="resample", seed=number % 3)
                    for number in range(8)
                )
            )
            assert [answer.status_code for answer in answers] == [200] * 8
            assert len({answer.content for answer in answers}) == 3

    run(main())


def test_many_photos_leave_places_to_those_who_paint(client: Client) -> None:
    source, region = png(samples(36, 64, 64)), blob(37, 64, 64)
    labels = palette_png(np.full((64, 64), SKY, np.uint8))

    async def main() -> None:
        async with client(queue_length=4, client_requests=0) as http:
            edits = [asyncio.create_task(edited(http, source, region, action="resample")) for _ in range(12)]
            while not http.app.state.services.darkroom.there >= 2:  # type: ignore[attr-defined]
                await asyncio.sleep(0.001)
            assert (await http.post("/generate", files={"mask": labels})).status_code == 200
            answers = [await one for one in edits]
            assert {answer.status_code for answer in answers} == {200, 503}
            busy = next(answer for answer in answers if answer.status_code == 503)
            problem(busy, 503, "busy")
            assert int(busy.headers["Retry-After"]) >= 1
            assert (await edited(http, source, region, action="resample")).status_code == 200, "all are gone"

    run(main())


def test_the_api_page_shows_every_field_with_examples(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            paths = (await http.get("/openapi.json")).json()["paths"]
            for path, files in (
                ("/edit", {"image", "region", "map", "new_map", "source"}),
                ("/segment", {"image"}),
                ("/styles", {"image"}),
            ):
                content = paths[path]["post"]["requestBody"]["content"]
                form = content["multipart/form-data"]["schema"]
                assert files <= form["properties"].keys()
                assert form["required"][0] == "image"
                assert all(value["description"] for value in form["properties"].values())
                assert content["application/json"]["examples"]
                assert "422" in paths[path]["post"]["responses"]

    run(main())
