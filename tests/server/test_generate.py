"""POST /generate: bodies, answers, limits, fairness to those who leave."""

import asyncio
import base64
import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.spec import MAX_STYLE_DIM
from server.errors import from_validation
from server.maps import resize_nearest
from tests.server.conftest import Client, image_file, palette_png, run
from tests.server.fake_engine import FakeLibrary, fake_spec


def mask(data: bytes, name: str = "mask.png") -> dict[str, Any]:
    return {"mask": (name, data, "application/octet-stream")}


def opened(response: Any) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"urn:scenebrush:problem:{code}"
    assert all(body[field] for field in ("title", "detail", "next", "request_id"))
    return body


def test_a_file_gives_a_jpeg(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post("/generate", files=mask(palette_png(scene)), data={"seed": "5"})
            picture = opened(response)
            assert (picture.format, picture.size) == ("JPEG", (48, 32))
            assert response.headers["x-seed"] == "5"
            assert response.headers["x-model"] == "fake"
            assert response.headers["cache-control"] == "no-store"
            steps = response.headers["server-timing"]
            assert [step.split(";")[0] for step in steps.split(", ")] == [
                "decode",
                "queue",
                "render",
                "encode",
            ]

    run(main())


def test_no_seed_is_random_and_returned(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            first = await http.post("/generate", files=mask(palette_png(scene)), data={"format": "png"})
            other = await http.post("/generate", files=mask(palette_png(scene)), data={"format": "png"})
            seed = first.headers["x-seed"]
            assert seed != other.headers["x-seed"]
            again = await http.post(
                "/generate", files=mask(palette_png(scene)), data={"format": "png", "seed": seed}
            )
            assert again.content == first.content

    run(main())


def test_json_in_and_out(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        body = {
            "mask": base64.b64encode(palette_png(scene)).decode(),
            "seed": 3,
            "style": [1, 0, 0, 0],
            "format": "png",
        }
        async with client() as http:
            response = await http.post("/generate", json=body, headers={"accept": "application/json"})
            answer = response.json()
            assert response.headers["content-type"] == "application/json"
            image = Image.open(io.BytesIO(base64.b64decode(answer.pop("image"))))
            assert (image.format, image.size) == ("PNG", (48, 32))
            assert answer == {
                "format": "png",
                "media_type": "image/png",
                "width": 48,
                "height": 32,
                "painted_width": 48,
                "painted_height": 32,
                "seed": 3,
                "model": "fake",
                "style": [1.0, 0.0, 0.0, 0.0],
                "styles": [],
            }

    run(main())


def test_a_style_by_its_name_is_the_style_by_its_code(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        picture = palette_png(scene)
        code, accept = [-1.25, 0.0, 0.0, 3.0], {"accept": "application/json"}
        body = {"mask": base64.b64encode(picture).decode(), "seed": 3, "format": "png"}
        form = {"seed": "3", "format": "png"}
        async with client() as http:
            answers = [
                await http.post("/generate", json=body | {"style": code}, headers=accept),
                await http.post("/generate", json=body | {"style": "golden-hour"}, headers=accept),
                await http.post(
                    "/generate", files=mask(picture), data=form | {"style": "golden-hour"}, headers=accept
                ),
            ]
            assert answers[0].json()["style"] == code
            assert answers[0].json() == answers[1].json() == answers[2].json()
            noon = await http.post("/generate", json=body | {"style": "noon"}, headers=accept)
            assert noon.json()["style"] == [2.0, 0.5, 0.0, 0.0]
            assert noon.json()["image"] != answers[0].json()["image"]

    run(main())


def test_a_style_that_the_model_does_not_name(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            body = {"mask": base64.b64encode(palette_png(scene)).decode(), "style": "m\u00f6\nnd"}
            unknown = problem(await http.post("/generate", json=body), 422, "unknown-style")
            assert unknown["styles"] == ["noon", "golden-hour"]
            assert "m\u00f6" in unknown["detail"]
            assert "\n" not in unknown["detail"]
            city = problem(await http.post("/generate", json=body | {"model": "city"}), 422, "unknown-style")
            assert city["styles"] == []
            assert "None of its styles has a name" in city["detail"]
            # The error speaks of the code that was sent, and of no other reading of it.
            wrong = await http.post("/generate", json=body | {"style": [1, "x", 0, 0]})
            assert [entry["field"] for entry in problem(wrong, 422, "invalid-value")["errors"]] == [
                "style.code.1"
            ]

    run(main())


def test_the_map_is_resized_to_the_picture(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            sizes = [
                ({"width": "96", "height": "64"}, (96, 64)),
                ({"width": "24"}, (24, 16)),
                ({"height": "64"}, (96, 64)),
                ({"width": "7", "height": "3"}, (7, 3)),
                ({"width": "", "height": ""}, (48, 32)),
            ]
            for fields, size in sizes:
                response = await http.post("/generate", files=mask(palette_png(scene)), data=fields)
                assert opened(response).size == size

    run(main())


@pytest.mark.parametrize(
    ("fields", "accept", "expected"),
    [
        ({}, "*/*", "JPEG"),
        ({}, "image/png", "PNG"),
        ({}, "image/webp,image/*;q=0.5", "WEBP"),
        ({}, "text/html,image/avif,*/*;q=0.8", "JPEG"),
        ({"format": "webp"}, "image/png", "WEBP"),
        ({"format": "jpg"}, "text/html", "JPEG"),
        ({"format": "png"}, "*/*", "PNG"),
    ],
)
def test_the_format_is_negotiated(
    client: Client, scene: np.ndarray, fields: dict[str, str], accept: str, expected: str
) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post(
                "/generate", files=mask(palette_png(scene)), data=fields, headers={"accept": accept}
            )
            assert opened(response).format == expected
            assert response.headers["content-type"] == f"image/{expected.lower()}"
            assert response.headers["vary"] == "Accept"

    run(main())


def test_quality_changes_the_file(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        noisy = np.random.default_rng(0).integers(1, 17, (64, 64), np.uint8)
        async with client(jpeg_quality=50) as http:
            sizes = [
                len((await http.post("/generate", files=mask(palette_png(noisy)), data=fields)).content)
                for fields in ({"quality": "10", "seed": "1"}, {"seed": "1"}, {"quality": "95", "seed": "1"})
            ]
            assert sizes == sorted(sizes)
            assert len(set(sizes)) == 3

    run(main())


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "unsupported-body"),
        ({"content": b""}, 415, "unsupported-body"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "unreadable-body"),
        ({"content": b"\xff", "headers": {"content-type": "application/json"}}, 400, "unreadable-body"),
        ({"json": {"mask": "!!"}}, 400, "unreadable-body"),
        ({"json": {}}, 422, "no-mask"),
        ({"json": []}, 400, "unreadable-body"),
        ({"json": {"mask": "", "seed": -1}}, 422, "invalid-value"),
        ({"json": {"mask": ""}}, 415, "unsupported-mask"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "unreadable-body"),
        (
            {"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            422,
            "no-mask",
        ),
        (
            {"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
            "unreadable-body",
        ),
        ({"data": {"mask": "text"}, "files": {"instances": b"x"}}, 422, "invalid-value"),
        ({"files": {"other": b"x"}}, 422, "invalid-value"),
    ],
)
def test_bodies_that_cannot_be_read(client: Client, sent: dict[str, Any], status: int, code: str) -> None:
    async def main() -> None:
        async with client() as http:
            problem(await http.post("/generate", **sent), status, code)

    run(main())


@pytest.mark.parametrize(
    ("fields", "status", "code", "said"),
    [
        ({"seed": "-1"}, 422, "invalid-value", "seed"),
        ({"seed": str(2**32)}, 422, "invalid-value", "seed"),
        ({"seed": "x"}, 422, "invalid-value", "seed"),
        ({"width": "0"}, 422, "invalid-value", "width"),
        ({"width": "65536"}, 422, "invalid-value", "width"),
        ({"width": "2049", "height": "8"}, 422, "picture-too-large", "2048"),
        ({"width": "1100", "height": "1100"}, 422, "picture-too-large", "1048576"),
        ({"format": "gif"}, 422, "invalid-value", "format"),
        ({"quality": "101"}, 422, "invalid-value", "quality"),
        ({"style": "[1, 2"}, 422, "invalid-value", "style"),
        ({"style": "[" * 5000}, 422, "invalid-value", "style"),
        ({"style": "[1e999,0,0,0]"}, 422, "invalid-value", "style"),
        ({"style": "[1, 2]"}, 422, "not-paintable", "4"),
        ({"style": "[101, 0, 0, 0]"}, 422, "invalid-value", "100"),
        ({"style": "moon"}, 422, "unknown-style", "noon, golden-hour"),
        ({"style": "Noon"}, 422, "unknown-style", "noon, golden-hour"),
        ({"style": "null"}, 422, "unknown-style", "list of numbers"),
        ({"style": "x" * 65}, 422, "invalid-value", "style"),
        ({"styles": '["noon"]'}, 422, "no-style-map", "style_map"),
        ({"styles": '["noon"'}, 422, "invalid-value", "styles"),
        ({"styles": "noon"}, 422, "invalid-value", "styles"),
        ({"styles": '[["noon"]]'}, 422, "invalid-value", "styles"),
        ({"styles": json.dumps(["noon"] * 16)}, 422, "invalid-value", "styles"),
        ({"styles": "[" + "1," * 100_000}, 400, "unreadable-body", "values"),
        ({"lossless": "true"}, 422, "invalid-value", "webp or png"),
        ({"lossless": "perhaps"}, 422, "invalid-value", "lossless"),
        ({"embed_map": "true", "format": "webp"}, 422, "invalid-value", "embed_map"),
        ({"sed": "1"}, 422, "invalid-value", "sed"),
        ({"model": "none"}, 404, "unknown-model", "GET /models"),
    ],
)
def test_values_that_do_not_fit(
    client: Client, scene: np.ndarray, fields: dict[str, str], status: int, code: str, said: str
) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post("/generate", files=mask(palette_png(scene)), data=fields)
            body = problem(response, status, code)
            assert said in json.dumps(body, ensure_ascii=False)

    run(main())


def test_many_wrong_numbers_are_one_error(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            fields = {"style": json.dumps(["x"] * MAX_STYLE_DIM)}
            response = await http.post("/generate", files=mask(palette_png(scene)), data=fields)
            assert len(problem(response, 422, "invalid-value")["errors"]) == 1

    run(main())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps({"mask": "", **{f"unknown{number}": 0 for number in range(100_000)}}), "values"),
        ("[" * 100_000, "values"),
        (json.dumps({"mask": "", **{f"unknown{number}": 0 for number in range(24)}}), "25 fields"),
        (json.dumps({"mask": "", "x" * 65: 0}), "name"),
    ],
)
def test_json_of_many_or_long_names_is_refused_before_it_is_validated(
    client: Client, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    def validated(*_: object) -> None:
        raise AssertionError("it was validated")

    monkeypatch.setattr("server.schemas.GenerateRequest.model_validate", validated)

    async def main() -> None:
        async with client() as http:
            headers = {"content-type": "application/json"}
            response = await http.post("/generate", content=body, headers=headers)
            assert said in problem(response, 400, "unreadable-body")["detail"]
            assert len(response.content) < 1000

    run(main())


def test_a_form_with_a_long_name_is_refused(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post("/generate", files=mask(palette_png(scene)), data={"x" * 65: "1"})
            problem(response, 400, "unreadable-body")

    run(main())


def test_few_of_many_errors_are_listed_and_names_are_clipped(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            wrong = {"mask": "", **{f"unknown{number}": "x" * 1000 for number in range(20)}}
            body = problem(await http.post("/generate", json=wrong), 422, "invalid-value")
            assert len(body["errors"]) == 10
            assert body["detail"].endswith("; and 10 more")
            assert "xx" not in json.dumps(body)

    run(main())
    many = from_validation([{"loc": ("a" * 500, 3), "msg": "m" * 500}])
    assert len(many.extra["errors"][0]["field"]) == 64
    assert len(many.extra["errors"][0]["error"]) == 200


def test_an_unacceptable_answer(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post(
                "/generate", files=mask(palette_png(scene)), headers={"accept": "text/html"}
            )
            problem(response, 406, "not-acceptable")

    run(main())


def test_another_models_labels(client: Client) -> None:
    async def main() -> None:
        ids = np.full((16, 16), 30, np.uint8)  # 30 is in Cityscapes, not among the landscape's
        async with client() as http:
            good = await http.post("/generate", files=mask(image_file(ids)), data={"model": "city"})
            assert good.headers["x-model"] == "city"
            body = problem(await http.post("/generate", files=mask(image_file(ids))), 422, "unknown-label")
            assert body["unknown"] == [
                {"value": "id 30", "pixels": 256, "nearest": {"id": 16, "name": "house"}}
            ]

    run(main())


def things(width: int = 24, height: int = 16, depth: type = np.uint16) -> np.ndarray:
    """Instances 0 left and one beyond 8 bits (if it may) right, whose edge the fake engine draws black."""
    instances = np.zeros((height, width), depth)
    instances[:, width // 2 :] = 200 if depth == np.uint8 else 40_000
    return instances


def with_instances(data: bytes, ids: np.ndarray | None = None) -> dict[str, Any]:
    ids = np.full((16, 24), 4, np.uint8) if ids is None else ids
    return {**mask(image_file(ids)), "instances": ("things.png", data, "image/png")}


FIELDS = {"model": "things", "format": "png", "seed": "1"}


def black_columns(response: Any) -> list[int]:
    pixels = np.asarray(opened(response).convert("RGB"))
    return np.flatnonzero((pixels == 0).all((0, 2))).tolist()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_an_instance_map_shows_the_edges_between_things(client: Client, depth: type) -> None:
    async def main() -> None:
        async with client() as http:
            files = with_instances(image_file(things(depth=depth)))
            response = await http.post("/generate", files=files, data=FIELDS)
            assert black_columns(response) == [12]
            larger = await http.post("/generate", files=files, data={**FIELDS, "width": "48"})
            assert black_columns(larger) == [24]  # resized with the mask
            without = await http.post(
                "/generate", files=mask(image_file(np.full((16, 24), 4, np.uint8))), data=FIELDS
            )
            assert black_columns(without) == []
            body = {
                "mask": base64.b64encode(image_file(np.full((16, 24), 4, np.uint8))).decode(),
                "instances": base64.b64encode(image_file(things(depth=depth))).decode(),
                "model": "things",
                "format": "png",
                "seed": 1,
            }
            assert (await http.post("/generate", json=body)).content == response.content

    run(main())


def test_a_form_whose_instance_field_was_left_empty(client: Client) -> None:
    content = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n' % part
        for part in (
            (b"mask", b"m.png", image_file(np.full((16, 24), 4, np.uint8))),
            (b"instances", b"", b""),
        )
    )

    async def main() -> None:
        async with client() as http:
            headers = {"content-type": "multipart/form-data; boundary=b"}
            opened(await http.post("/generate", content=content + b"--b--\r\n", headers=headers))

    run(main())


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "unsupported-instances", "not a PNG"),
        (b"GIF89a", "unsupported-instances", "not a PNG"),
        (image_file(things(depth=np.uint8), "WEBP", lossless=True), "unsupported-instances", "not a PNG"),
        (image_file(np.zeros((16, 24, 3), np.uint8)), "unsupported-instances", "grey"),
        (image_file(np.zeros((16, 24, 4), np.uint8)), "unsupported-instances", "grey"),
        (palette_png(np.zeros((16, 24))), "unsupported-instances", "grey"),
        (image_file(things(25)), "instances-size", "25×16 pixels, and the mask 24×16"),
        (image_file(things(16, 24)), "instances-size", "16×24 pixels, and the mask 24×16"),
        (image_file(things())[:-40], "broken-image", "damaged"),
        (image_file(things())[:20], "broken-image", "header"),
        (b"\x89PNG\r\n\x1a\n", "broken-image", "header"),
    ],
)
def test_instance_maps_that_are_none(client: Client, data: bytes, code: str, said: str) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post("/generate", files=with_instances(data), data=FIELDS)
            body = problem(response, 422, code)
            assert said in body["detail"]
            assert "instance map" in body["title"]
            assert "greyscale PNG" in body["next"]

    run(main())


def test_an_animated_or_huge_instance_map_is_judged_by_its_header(client: Client) -> None:
    frames = [Image.fromarray(things(depth=np.uint8)), Image.fromarray(things(depth=np.uint8)[:, ::-1])]
    moving = io.BytesIO()
    frames[0].save(moving, "PNG", save_all=True, append_images=frames[1:])
    huge = bytearray(image_file(things()))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")

    async def main() -> None:
        async with client() as http:
            sent = [(moving.getvalue(), "unsupported-instances"), (bytes(huge), "instances-size")]
            for data, code in sent:
                response = await http.post("/generate", files=with_instances(data), data=FIELDS)
                problem(response, 422, code)

    run(main())


def test_a_model_that_reads_no_instances_says_so(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            files = {**mask(palette_png(scene)), "instances": image_file(things(48, 32))}
            body = problem(await http.post("/generate", files=files), 422, "no-instance-edges")
            assert "'fake'" in body["detail"]

    run(main())


def test_instances_that_are_no_file(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.post(
                "/generate", files=mask(palette_png(scene)), data={"instances": "things.png"}
            )
            assert "instances" in problem(response, 422, "invalid-value")["detail"]
            text = {"mask": base64.b64encode(palette_png(scene)).decode(), "instances": "!!"}
            problem(await http.post("/generate", json=text), 400, "unreadable-body")
            twice = [("mask", palette_png(scene)), ("mask", palette_png(scene))]
            problem(await http.post("/generate", files=twice), 400, "unreadable-body")
            many = [(name, palette_png(scene)) for name in ("mask", "instances", "style_map", "other")]
            problem(await http.post("/generate", files=many), 400, "unreadable-body")

    run(main())


def test_a_model_without_style(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            files = mask(image_file(np.full((16, 24), 4, np.uint8)))
            answer = await http.post(
                "/generate",
                files=files,
                data={**FIELDS, "style": "[]"},
                headers={"accept": "application/json"},
            )
            assert answer.json()["style"] == []
            wrong = await http.post("/generate", files=files, data={**FIELDS, "style": "[1]"})
            problem(wrong, 422, "not-paintable")

    run(main())


def test_a_style_as_long_as_a_model_may_have_reaches_the_model(client: Client, scene: np.ndarray) -> None:
    style = [-1.234567890123456e-05] * MAX_STYLE_DIM
    mask = palette_png(scene)

    async def main() -> None:
        async with client() as http:
            form = await http.post("/generate", files={"mask": mask}, data={"style": json.dumps(style)})
            body = {"mask": base64.b64encode(mask).decode(), "style": style}
            for answer in (form, await http.post("/generate", json=body)):
                assert f"{MAX_STYLE_DIM} values" in problem(answer, 422, "not-paintable")["detail"]
            too_long = await http.post("/generate", json=body | {"style": [*style, 0.0]})
            problem(too_long, 422, "invalid-value")

    run(main())


def test_a_body_that_is_too_large_with_and_without_content_length(client: Client) -> None:
    async def main() -> None:
        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 1000
            raise AssertionError("the server went on reading")

        async with client(max_body_bytes=5000) as http:
            headers = {"content-type": "multipart/form-data; boundary=b"}
            sized = await http.post("/generate", content=b"x" * 5001, headers=headers)
            problem(sized, 413, "body-too-large")
            streamed = await http.post(
                "/generate", content=endless(), headers={"content-type": "application/json"}
            )
            problem(streamed, 413, "body-too-large")

    run(main())


def test_a_body_that_does_not_arrive(client: Client) -> None:
    async def main() -> None:
        async def slow() -> Any:
            yield b"{"
            await asyncio.sleep(5)
            yield b"}"

        async with client(body_timeout=0.05) as http:
            response = await http.post(
                "/generate", content=slow(), headers={"content-type": "application/json"}
            )
            problem(response, 408, "body-too-slow")

    run(main())


def test_slow_uploads_keep_nobody_from_painting(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client(queue_length=2, max_uploads=4) as http:
            arrived, rest = 0, asyncio.Event()

            async def slow() -> Any:
                nonlocal arrived
                arrived += 1
                yield b"{"
                await rest.wait()
                yield b"}"

            headers = {"content-type": "application/json"}
            uploads = [
                asyncio.create_task(http.post("/generate", content=slow(), headers=headers)) for _ in range(3)
            ]
            while arrived < 3:
                await asyncio.sleep(0.005)
            opened(await http.post("/generate", files=mask(palette_png(scene))))
            uploads.append(asyncio.create_task(http.post("/generate", content=slow(), headers=headers)))
            while arrived < 4:
                await asyncio.sleep(0.005)
            problem(await http.post("/generate", files=mask(palette_png(scene))), 503, "busy")
            rest.set()
            assert {(await upload).status_code for upload in uploads} == {422}
            opened(await http.post("/generate", files=mask(palette_png(scene))))

    run(main())


def test_a_full_queue_is_503_with_retry_after(
    client: Client, library: FakeLibrary, scene: np.ndarray
) -> None:
    async def main() -> None:
        async with client(queue_length=2) as http:
            library.gate.clear()
            sent = [
                asyncio.create_task(http.post("/generate", files=mask(palette_png(scene)))) for _ in range(2)
            ]
            while http.app.state.services.worker.scheduler.queued < 1:
                await asyncio.sleep(0.005)
            response = await http.post("/generate", files=mask(palette_png(scene)))
            body = problem(response, 503, "busy")
            assert int(response.headers["retry-after"]) == body["retry_after"] >= 1
            library.gate.set()
            assert [(await one).status_code for one in sent] == [200, 200]
            assert (await http.post("/generate", files=mask(palette_png(scene)))).status_code == 200

    run(main())


def test_a_client_that_leaves_frees_its_place(
    client: Client, library: FakeLibrary, scene: np.ndarray
) -> None:
    async def main() -> None:
        async with client(queue_length=2) as http:
            scheduler = http.app.state.services.worker.scheduler
            library.gate.clear()
            painting = asyncio.create_task(http.post("/generate", files=mask(palette_png(scene))))
            while scheduler.idle or scheduler.queued:
                await asyncio.sleep(0.005)
            body, headers = _multipart(palette_png(scene))
            # httpx's transport cannot hang up half-way, so this one speaks ASGI itself.
            status = await _post_and_leave(http.app, body, headers, lambda: scheduler.queued == 1)
            assert status == 499
            assert scheduler.queued == 0
            library.gate.set()
            assert (await painting).status_code == 200
            assert library.rendered == 1
            assert scheduler.idle

    run(main())


def _multipart(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="mask"; filename="m.png"\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    return body, [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]


def test_a_client_that_leaves_during_its_upload_is_no_fault(
    client: Client, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with client() as http:
            body, form = _multipart(b"half")
            for headers in (form, [form[0], (b"content-type", b"application/json")]):
                status = await _post_and_leave(http.app, body[:40], headers, lambda: True, more=True)
                assert status == 499
            assert http.app.state.services.worker.scheduler.idle

    run(main())
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err + caplog.text
    assert "request failed" not in said.out + said.err + caplog.text


async def _post_and_leave(app: Any, body: bytes, headers: Any, when: Any, *, more: bool = False) -> int:
    sent: list[Any] = []
    given = False

    async def receive() -> Any:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": more}
        while not when():
            await asyncio.sleep(0.005)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/generate",
        "raw_path": b"/generate",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await asyncio.wait_for(app(scope, receive, send), 5)
    return sent[0]["status"]


def test_an_engine_failure_is_a_500_without_a_trace(
    client: Client, library: FakeLibrary, scene: np.ndarray
) -> None:
    async def main() -> None:
        async with client() as http:
            library.failure = RuntimeError("secret detail")
            response = await http.post("/generate", files=mask(palette_png(scene)))
            body = problem(response, 500, "internal")
            assert "secret" not in response.text
            assert body["request_id"] == response.headers["x-request-id"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert (await http.post("/generate", files=mask(palette_png(scene)))).status_code == 200

    run(main())


def test_equal_requests_give_equal_bytes_whatever_came_before(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            fields = {"seed": "9", "format": "png"}
            first = await http.post("/generate", files=mask(palette_png(scene)), data=fields)
            await http.post("/generate", files=mask(palette_png(scene[::-1])), data={"seed": "1"})
            again = await http.post("/generate", files=mask(palette_png(scene)), data=fields)
            assert first.content == again.content

    run(main())


# Styles by region


@pytest.fixture
def halves(scene: np.ndarray) -> np.ndarray:
    """Style 1 on the left, the picture's own in the middle, style 2 on the right."""
    numbers = np.zeros_like(scene)
    numbers[:, :16], numbers[:, 32:] = 1, 2
    return numbers


def test_styles_by_name_and_by_code_fall_where_the_map_says(
    client: Client, scene: np.ndarray, halves: np.ndarray
) -> None:
    async def main() -> None:
        async with client() as http:

            async def painted(**fields: str) -> np.ndarray:
                files = {"mask": palette_png(scene)}
                if "styles" in fields:
                    files["style_map"] = palette_png(halves)
                answer = await http.post(
                    "/generate", files=files, data={"seed": "3", "format": "png", **fields}
                )
                return np.asarray(opened(answer)).astype(int)

            styles = json.dumps(["golden-hour", [2, 0.5, 0, 0]])
            both = await painted(style="[0,0,0,0]", styles=styles)
            for columns, style in (
                (np.s_[:, :16], "golden-hour"),
                (np.s_[:, 16:32], "[0,0,0,0]"),
                (np.s_[:, 32:], "noon"),
            ):
                assert np.array_equal(both[columns], (await painted(style=style))[columns])
            body = {
                "mask": base64.b64encode(palette_png(scene)).decode(),
                "style_map": base64.b64encode(palette_png(halves)).decode(),
                "style": [0, 0, 0, 0],
                "styles": ["golden-hour", "noon"],
                "seed": 3,
                "format": "png",
            }
            answer = (await http.post("/generate", json=body, headers={"accept": "application/json"})).json()
            assert answer["styles"] == [[-1.25, 0.0, 0.0, 3.0], [2.0, 0.5, 0.0, 0.0]]
            image = Image.open(io.BytesIO(base64.b64decode(answer["image"])))
            assert np.array_equal(np.asarray(image), both)

    run(main())


def test_a_style_map_of_another_size_is_resized_by_pixel_centres(
    client: Client, scene: np.ndarray, halves: np.ndarray, library: FakeLibrary
) -> None:
    async def main() -> None:
        async with client() as http:
            fields = {"seed": "3", "format": "png", "styles": '["golden-hour", "noon"]'}
            pictures = []
            for numbers in (halves, halves[::8, ::16], np.kron(halves, np.ones((3, 2), np.uint8))):
                files = {"mask": palette_png(scene), "style_map": image_file(numbers)}
                pictures.append((await http.post("/generate", files=files, data=fields)).content)
            assert pictures[0] == pictures[1] == pictures[2]

    run(main())


@pytest.mark.parametrize(
    ("style_map", "fields", "status", "code", "said"),
    [
        (image_file(np.full((4, 4), 2, np.uint8)), {"styles": '["noon"]'}, 422, "unknown-style-number", "2"),
        (image_file(np.full((4, 4), 1, np.uint8)), {}, 422, "unknown-style-number", "only 0"),
        (
            image_file(np.zeros((4, 4, 3), np.uint8)),
            {"styles": '["noon"]'},
            415,
            "unsupported-mask",
            "style_map",
        ),
        (image_file(np.zeros((4, 4), np.uint16)), {"styles": '["noon"]'}, 422, "sixteen-bit", "style_map"),
        (b"\x89PNG\r\n\x1a\n", {"styles": '["noon"]'}, 422, "broken-image", "style_map"),
        (b"", {"styles": '["noon"]'}, 415, "unsupported-mask", "style_map"),
        (
            image_file(np.zeros((65, 64), np.uint8)),
            {"styles": '["noon"]'},
            413,
            "mask-too-large",
            "style_map",
        ),
        (image_file(np.zeros((4, 4), np.uint8)), {"styles": '["moon"]'}, 422, "unknown-style", "noon"),
        (image_file(np.zeros((4, 4), np.uint8)), {"styles": "[[1]]"}, 422, "not-paintable", ""),
        (image_file(np.zeros((4, 4), np.uint8)), {"model": "city"}, 422, "no-styles-by-region", "city"),
    ],
)
def test_style_maps_that_do_not_fit(
    client: Client, style_map: bytes, fields: dict[str, str], status: int, code: str, said: str
) -> None:
    async def main() -> None:
        async with client(max_map_pixels=4096) as http:
            files = {
                "mask": ("m.png", image_file(np.full((8, 8), 1, np.uint8))),
                "style_map": ("s.png", style_map),
            }
            assert (
                said
                in problem(await http.post("/generate", files=files, data=fields), status, code)["detail"]
            )

    run(main())


def test_a_form_may_send_the_styles_as_a_part_of_json(
    client: Client, scene: np.ndarray, halves: np.ndarray
) -> None:
    async def main() -> None:
        async with client() as http:
            styles = ("styles", (None, b'["golden-hour", "noon"]', "application/json"))
            files = [("mask", palette_png(scene)), ("style_map", palette_png(halves))]
            answer = await http.post(
                "/generate",
                files=[*files, styles],
                data={"seed": "3"},
                headers={"accept": "application/json"},
            )
            assert answer.json()["styles"] == [[-1.25, 0.0, 0.0, 3.0], [2.0, 0.5, 0.0, 0.0]]
            twice = await http.post("/generate", files=[*files, styles, styles])
            assert "'styles' comes twice" in problem(twice, 400, "unreadable-body")["detail"]

    run(main())


def test_a_style_map_of_zeros_changes_nothing(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            fields = {"seed": "3", "format": "png"}
            files = {"mask": palette_png(scene)}
            plain = await http.post("/generate", files=files, data=fields)
            zeros = {**files, "style_map": image_file(np.zeros_like(scene))}
            assert (await http.post("/generate", files=zeros, data=fields)).content == plain.content
            unused = {**fields, "styles": '["noon"]'}
            answer = await http.post("/generate", files=zeros, data=unused)
            assert np.array_equal(np.asarray(opened(answer)), np.asarray(opened(plain)))

    run(main())


# Files


def test_lossless_webp_has_the_pixels_of_the_png(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            pictures = {}
            for name, fields in (
                ("png", {"format": "png"}),
                ("lossless", {"format": "webp", "lossless": "true"}),
                ("lossy", {"format": "webp", "quality": "30"}),
            ):
                answer = await http.post(
                    "/generate", files={"mask": palette_png(scene)}, data={"seed": "3", **fields}
                )
                pictures[name] = np.asarray(opened(answer).convert("RGB"))
            assert np.array_equal(pictures["lossless"], pictures["png"])
            assert not np.array_equal(pictures["lossy"], pictures["png"])

    run(main())


def test_a_png_holds_its_map_only_when_asked(client: Client, scene: np.ndarray, halves: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            files = {"mask": palette_png(scene), "style_map": palette_png(halves)}
            fields = {"seed": "3", "format": "png", "styles": '["golden-hour", "noon"]', "width": "96"}

            async def said(**more: str) -> dict[str, Any]:
                answer = await http.post("/generate", files=files, data={**fields, **more})
                return json.loads(opened(answer).text["scenebrush"])  # type: ignore[attr-defined]

            text = await said(embed_map="true")
            for name, ids in (("map", scene), ("style_map", halves)):
                kept = np.asarray(Image.open(io.BytesIO(base64.b64decode(text[name]))))
                assert np.array_equal(kept, np.kron(ids, np.ones((2, 2), np.uint8)))
            assert text["styles"] == [[-1.25, 0.0, 0.0, 3.0], [2.0, 0.5, 0.0, 0.0]]
            assert not {"map", "style_map"} & set(await said())

    run(main())


# A model that paints no such large pictures


def test_what_a_model_cannot_paint_so_large_is_enlarged(client: Client, library: FakeLibrary) -> None:
    library.add(fake_spec("small", options={"start_grid": [4, 8]}))  # of 8 pixels: 64×32
    ids = np.full((48, 96), 1, np.uint8)
    ids[:, 40:] = 8

    async def main() -> None:
        async with client() as http:

            async def post(mask: np.ndarray, **fields: str) -> Any:
                sent = {"model": "small", "seed": "3", "format": "png", **fields}
                return await http.post("/generate", files={"mask": image_file(mask)}, data=sent)

            for fields, size, painted in (
                ({}, (96, 48), "64x32"),
                ({"width": "512", "height": "512"}, (512, 512), "32x32"),
                ({"width": "64"}, (64, 32), "64x32"),
                ({"width": "20", "height": "10"}, (20, 10), "20x10"),
            ):
                answer = await post(ids, **fields)
                assert opened(answer).size == size
                assert answer.headers["x-painted-size"] == painted
            small = opened(await post(resize_nearest(ids, 64, 32)))
            enlarged = small.resize((96, 48), Image.Resampling.LANCZOS)
            assert np.array_equal(np.asarray(opened(await post(ids))), np.asarray(enlarged))
            sent = {"mask": base64.b64encode(image_file(ids)).decode(), "model": "small"}
            answer = (await http.post("/generate", json=sent, headers={"accept": "application/json"})).json()
            sizes = [answer[name] for name in ("width", "height", "painted_width", "painted_height")]
            assert sizes == [96, 48, 64, 32]
            problem(await post(ids, width="4096"), 422, "picture-too-large")

    run(main())


def test_the_documents_examples_are_painted(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            described = (await http.get("/openapi.json")).json()["paths"]["/generate"]["post"]
            examples = described["requestBody"]["content"]["application/json"]["examples"]
            assert len(examples) == 3
            for example in examples.values():
                answer = await http.post("/generate", json=example["value"])
                assert opened(answer).size == (256, 256)

    run(main())
