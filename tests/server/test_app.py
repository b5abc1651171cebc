"""The app as a whole: errors, headers, hosts, origins, health, models, the page and the API description."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from models.labels import meanings
from server import resources
from server.errors import Problem
from server.painter import LivePainter
from server.resources import MissingPageError, find_page
from server.routes.studio import page_template
from tests.server.conftest import LANDSCAPE, Client, palette_png, run
from tests.server.fake_engine import FakeLibrary
from tests.server.test_painter import BlockedSocket


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:scenebrush:problem:{code}")
    assert body["request_id"] == response.headers["x-request-id"]
    return body


# Errors


def test_framework_errors_are_problems_too(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            problem(await http.get("/nowhere"), 404, "not-found")
            problem(await http.get("/assets/0000/js/main.js"), 404, "not-found")
            problem(await http.get("/models/none"), 404, "unknown-model")
            wrong = await http.get("/generate")
            problem(wrong, 405, "method-not-allowed")
            assert wrong.headers["allow"] == "POST"
            problem(await http.delete("/models"), 405, "method-not-allowed")
            problem(await http.get("/live"), 404, "not-found")

    run(main())


def test_framework_validation_is_a_problem(client: Client) -> None:
    async def main() -> None:
        async with client() as http:

            async def typed(count: int) -> int:
                return count

            http.app.add_api_route("/typed", typed)
            body = problem(await http.get("/typed?count=x"), 422, "invalid-value")
            assert body["errors"][0]["field"] == "query.count"

    run(main())


def test_an_unexpected_error_is_a_500_that_says_nothing(
    client: Client, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(library, "specs", broken)

    async def main() -> None:
        async with client() as http:
            response = await http.get("/models")
            problem(response, 500, "internal")
            assert "secret" not in response.text
            assert "Traceback" not in response.text
            assert response.headers["content-security-policy"]

    run(main())


# Headers


def test_security_headers_on_every_answer(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            for path in ("/", "/healthz", "/nowhere", "/models", "/docs", "/openapi.json"):
                headers = (await http.get(path)).headers
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["referrer-policy"] == "no-referrer"
                assert "frame-ancestors 'none'" in headers["content-security-policy"]
                assert "server" not in headers
            assert (await http.get("/models")).headers["cache-control"] == "no-store"

    run(main())


def test_the_page_allows_no_inline_script(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            page = await http.get("/")
            policy = page.headers["content-security-policy"]
            assert "unsafe-inline" not in policy
            assert "default-src 'self'" in policy
            assert page.headers["cache-control"] == "no-cache"
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=", page.text)

    run(main())


def test_request_ids(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            first, second = [(await http.get("/healthz")).headers["x-request-id"] for _ in range(2)]
            assert first != second
            kept = await http.get("/healthz", headers={"x-request-id": "proxy-7"})
            assert kept.headers["x-request-id"] == "proxy-7"
            for given in ("a b", "x" * 65, "<script>"):
                replaced = await http.get("/healthz", headers={"x-request-id": given})
                assert replaced.headers["x-request-id"] != given

    run(main())


# Hosts and origins


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_only_our_own_names_are_answered(client: Client, host: str, status: int) -> None:
    async def main() -> None:
        async with client() as http:
            response = await http.get("/healthz", headers={"host": host})
            assert response.status_code == status
            if status == 421:
                problem(response, 421, "wrong-host")

    run(main())


def test_hosts_can_be_named(client: Client) -> None:
    async def main() -> None:
        async with client(allowed_hosts="paint.example", ready=False) as http:
            assert (await http.get("/healthz", headers={"host": "paint.example:80"})).status_code == 200
            assert (await http.get("/healthz", headers={"host": "evil.example"})).status_code == 421
            assert (await http.get("/healthz", headers={"host": "127.0.0.1:8000"})).status_code == 200
        async with client(host="0.0.0.0") as http:
            assert (await http.get("/healthz", headers={"host": "any.example"})).status_code == 200

    run(main())


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("https://localhost", True),  # a proxy may have taken TLS off
        ("https://friend.example", True),
        ("https://evil.example", False),
        ("http://localhost:81", False),
        ("null", False),
        ("localhost", False),
    ],
)
def test_pages_of_other_origins_cannot_spend_the_device(client: Client, origin: str, allowed: bool) -> None:
    async def main() -> None:
        async with client(allowed_origins="https://friend.example/") as http:
            response = await http.post("/generate", content=b"", headers={"origin": origin})
            if allowed:
                problem(response, 415, "unsupported-body")  # it got as far as its body
            else:
                problem(response, 403, "wrong-origin")
            assert (await http.get("/models", headers={"origin": origin})).status_code == 200

    run(main())


def test_cors_is_off_unless_origins_are_named(client: Client, tmp_path: Path) -> None:
    preflight = {"origin": "https://friend.example", "access-control-request-method": "POST"}

    async def main() -> None:
        async with client() as http:
            response = await http.get("/models", headers={"origin": "https://friend.example"})
            assert "access-control-allow-origin" not in response.headers
            assert (await http.options("/generate", headers=preflight)).status_code == 405
        sharing = {"sharing": True, "data_dir": tmp_path}
        async with client(cors_origins="https://friend.example", **sharing) as http:
            response = await http.get("/models", headers={"origin": "https://friend.example"})
            assert response.headers["access-control-allow-origin"] == "https://friend.example"
            assert (await http.options("/generate", headers=preflight)).status_code == 200
            readable = response.headers["access-control-expose-headers"].split(", ")
            routes = http.app.openapi()["paths"].values()
            told = {
                name
                for route in routes
                for method in route.values()
                for answer in method["responses"].values()
                for name in answer.get("headers", {})
            }
            assert told | {"Retry-After", "X-Request-ID"} <= set(readable)
            other = await http.get("/models", headers={"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in other.headers

    run(main())


# Health


def test_ready_only_once_warm(client: Client, library: FakeLibrary) -> None:
    library.warm_up_gate.clear()

    async def main() -> None:
        async with client(ready=False) as http:
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            body = problem(await http.get("/readyz"), 503, "not-ready")
            assert "loaded" in body["detail"]
            assert body["waiting_for"] == ["model fake: weights are loaded"]
            assert (await http.get("/")).status_code == 200
            library.warm_up_gate.set()
            while (response := await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.005)
            assert response.json() == {
                "status": "ready",
                "model": "fake",
                "device": "cpu",
                "precision": "fp32",
            }
            assert (await http.head("/readyz")).status_code == 200

    run(main())


def test_a_model_that_does_not_load_is_said(client: Client, library: FakeLibrary) -> None:
    library.warm_up_failure = OSError("no such file")

    async def main() -> None:
        async with client(ready=False) as http:
            while not http.app.state.services.worker.broken:
                await asyncio.sleep(0.005)
            body = problem(await http.get("/readyz"), 503, "not-ready")
            assert "did not load" in body["detail"]
            assert body["waiting_for"][-1] == "model fake: weights are loaded"
            assert (await http.get("/healthz")).status_code == 200
            problem(await http.post("/generate", content=b""), 503, "out-of-order")

    run(main())


def test_what_came_before_the_model_failed_to_load_is_told(client: Client, library: FakeLibrary) -> None:
    library.warm_up_failure = OSError("no such file")
    library.warm_up_gate.clear()

    async def main() -> None:
        async with client(ready=False) as http:
            services = http.app.state.services
            socket = BlockedSocket()
            painter = LivePainter(services, socket)
            services.worker.join(painter)
            services.painters.add(painter)
            ids = palette_png(np.full((16, 16), 1, np.uint8))
            waiting = asyncio.create_task(http.post("/generate", files={"mask": ids}))
            while not services.worker.scheduler.queued:
                await asyncio.sleep(0.005)
            with services.worker.place("somebody") as place:  # its body is still being read
                library.warm_up_gate.set()
                problem(await asyncio.wait_for(waiting, 5), 503, "out-of-order")
                with pytest.raises(Problem, match="did not load"):
                    await asyncio.wait_for(services.worker.render(place, None), 5)
            while not socket.closed:
                await asyncio.sleep(0.005)
            assert socket.texts[-1]["type"] == "bye"
            assert "did not load" in socket.texts[-1]["reason"]

    run(main())


def test_draining_takes_no_more_work(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            await http.app.state.services.drain()
            body = problem(await http.get("/readyz"), 503, "not-ready")
            assert body["waiting_for"] == ["the server to stop"]
            refused = await http.post("/generate", content=b"")
            problem(refused, 503, "going-away")
            assert refused.headers["retry-after"]

    run(main())


def test_metrics(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            await http.get("/models/fake")
            await http.get("/nowhere/12345")
            await http.get("/assets/54321/js/main.js")
            text = (await http.get("/metrics")).text
            assert (
                'scenebrush_requests_total{method="GET",route="/models/{model_id}",status="200"} 1.0' in text
            )
            assert 'route="unmatched",status="404"' in text
            assert 'route="/assets/",status="404"' in text
            assert "12345" not in text
            assert "54321" not in text
            assert "scenebrush_painters 0.0" in text
            assert "scenebrush_cached_bytes 4096.0" in text
        async with client(metrics=False) as http:
            assert (await http.get("/metrics")).status_code == 404

    run(main())


def test_two_apps_share_nothing(client: Client) -> None:
    async def main() -> None:
        async with client() as one, client() as two:
            await one.get("/models/fake")
            assert "/models/{model_id}" not in (await two.get("/metrics")).text

    run(main())


# Models


def test_models(client: Client) -> None:
    async def main() -> None:
        async with client(max_side=512) as http:
            listed = (await http.get("/models")).json()["models"]
            assert [model["id"] for model in listed] == ["fake", "city", "things"]
            assert [model["default"] for model in listed] == [True, False, False]
            one = (await http.get("/models/fake")).json()
            assert one == listed[0]
            assert (one["licence"], one["stride"], one["native_width"], one["style_dim"]) == (
                "Apache-2.0",
                8,
                64,
                4,
            )
            assert (one["max_side"], one["max_pixels"], one["parameters"]) == (512, 1024 * 1024, 17)
            assert one["label_set"]["hash"] == LANDSCAPE.hash
            assert one["label_set"]["labels"][3] == {
                "id": 3,
                "name": "mountain",
                "color": list(LANDSCAPE.by_id[3].color),
                "group": "land",
                "concepts": list(meanings("mountain")),
            }
            cityscapes = {label["name"]: label for label in listed[1]["label_set"]["labels"]}
            assert cityscapes["vegetation"]["concepts"] == list(meanings("vegetation"))
            assert all(label["concepts"] for label in cityscapes.values())
            assert [model["instance_edges"] for model in listed] == [False, False, True]
            assert [model["styles_by_region"] for model in listed] == [True, False, False]
            assert [model["encodes_styles"] for model in listed] == [True, False, False]
            assert one["styles"] == [
                {"id": "noon", "title": "Noon", "code": [2.0, 0.5, 0.0, 0.0]},
                {"id": "golden-hour", "title": "Golden hour", "code": [-1.25, 0.0, 0.0, 3.0]},
            ]
            assert (listed[1]["styles"], listed[2]["styles"], listed[2]["style_dim"]) == ([], [], 0)
            assert (one["largest_width"], one["largest_height"]) == (None, None)

    run(main())


# The page


def test_the_page_is_compiled_once_and_a_change_shows(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text("{{ what }}")
    first = page_template(tmp_path)
    assert page_template(tmp_path) is first
    file.write_text("now {{ what }}")
    os.utime(file, (1, 1))
    assert page_template(tmp_path).render(what="<b>") == "now &lt;b&gt;"


def test_assets_are_under_their_hash_for_ever(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            page = (await http.get("/")).text
            (script,) = re.findall(r'src="([^"]*/js/boot\.js)"', page)
            assert re.fullmatch(r"/assets/[0-9a-f]{16}/js/boot\.js", script)
            response = await http.get(script)
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/javascript")
            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert response.headers["x-content-type-options"] == "nosniff"
            outside = await http.get(script.replace("js/boot.js", "..%2f..%2fpyproject.toml"))
            assert outside.status_code == 404

    run(main())


def test_under_a_path_of_a_proxy(client: Client) -> None:
    async def main() -> None:
        async with client(root_path="paint/") as http:
            # httpx's base URL has the path; a proxy may also strip it.
            for prefix in ("", "http://localhost"):
                page = await http.get(f"{prefix}/")
                assert page.status_code == 200
                assert '<meta name="scenebrush-base" content="/paint">' in page.text
                (script,) = re.findall(r'src="([^"]*/js/boot\.js)"', page.text)
                assert script.startswith("/paint/assets/")
                assert (await http.get(f"http://localhost{script}")).status_code == 200
            assert "/paint/openapi.json" in (await http.get("/docs/start.js")).text
            assert (await http.get("/openapi.json")).json()["servers"] == [{"url": "/paint"}]

    run(main())


def test_the_hash_follows_the_content(tmp_path: Any) -> None:
    (tmp_path / "a.js").write_text("1")
    first = resources.content_hash(tmp_path)
    assert resources.content_hash(tmp_path) == first
    (tmp_path / "a.js").write_text("2")
    second = resources.content_hash(tmp_path)
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    assert len({first, second, resources.content_hash(tmp_path)}) == 3


def test_a_missing_page_says_so(tmp_path: Any) -> None:
    (tmp_path / "static" / "js").mkdir(parents=True)
    (tmp_path / "static" / "js" / "other.js").write_text("")
    with pytest.raises(MissingPageError, match=r"main\.js is missing"):
        find_page(tmp_path)


# The API description


def test_openapi_describes_every_route(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            document = (await http.get("/openapi.json")).json()
            paths = {"/generate", "/models", "/models/{model_id}", "/healthz", "/readyz", "/metrics"}
            assert set(document["paths"]) == paths | {"/edit", "/segment", "/styles", "/session"}
            body = document["paths"]["/generate"]["post"]["requestBody"]["content"]
            form = body["multipart/form-data"]["schema"]
            assert form["properties"]["mask"]["format"] == "binary"
            assert form["required"] == ["mask"]
            assert body["multipart/form-data"]["encoding"] == {"styles": {"contentType": "application/json"}}
            assert set(form["properties"]) == {
                "mask",
                "instances",
                "style_map",
                "model",
                "seed",
                "style",
                "styles",
                "width",
                "height",
                "format",
                "quality",
                "lossless",
                "embed_map",
            }
            answers = document["paths"]["/generate"]["post"]["responses"]
            assert "application/problem+json" in answers["503"]["content"]
            assert "image/webp" in answers["200"]["content"]
            assert "HTTPValidationError" not in json.dumps(document)

    run(main())


def test_docs_come_from_here(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            page = await http.get("/docs")
            policy = page.headers["content-security-policy"]
            assert "script-src" not in policy  # so default-src 'self' holds for scripts: none inline
            addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert len(addresses) == 4
            for address in addresses:
                assert address.startswith("/docs/")
                assert (await http.get(address)).status_code == 200
            assert "://" not in (await http.get("/docs/start.js")).text
        async with client(docs=False) as http:
            for path in ("/docs", "/openapi.json", "/docs/start.js"):
                assert (await http.get(path)).status_code == 404

    run(main())
