"""Every kind of answer has every header, and every address in an answer is the server's own."""

import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from structlog.testing import capture_logs

from server.guard.tokens import TokenFile
from server.middleware import API_POLICY
from server.routes.docs import DOCS_POLICY
from server.routes.studio import PAGE_POLICY
from tests.server.conftest import Client, palette_png, run
from tests.server.fake_engine import FakeLibrary

MASK = {"mask": palette_png(np.full((16, 16), 3, np.uint8))}
# Spelled out: what the server's own list lacks would not be missed otherwise.
EVERY_ANSWER = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
FOR_EVER = "public, max-age=31536000, immutable"
UNKNOWN = "/s/AAAAAAAAAAAAAAAAAAAAAA"

# Method, path, what else to send, status, and what differs from the headers of an API answer.
ANSWERS: list[tuple[str, str, dict[str, Any], int, dict[str, str]]] = [
    ("GET", "/", {}, 200, {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}),
    ("HEAD", "/", {}, 200, {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}),
    ("GET", UNKNOWN, {}, 404, {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}),
    ("GET", "/docs", {}, 200, {"Content-Security-Policy": DOCS_POLICY, "Cache-Control": "no-cache"}),
    ("GET", "/docs/start.js", {}, 200, {"Cache-Control": "no-cache"}),
    ("GET", "/docs/files/swagger-ui.css", {}, 200, {}),
    ("GET", "/openapi.json", {}, 200, {}),
    ("GET", "{assets}/js/boot.js", {}, 200, {"Cache-Control": FOR_EVER}),
    ("HEAD", "{assets}/js/boot.js", {}, 200, {"Cache-Control": FOR_EVER}),
    ("GET", "{assets}/none.js", {}, 404, {}),
    ("POST", "{assets}/js/boot.js", {}, 405, {}),
    ("GET", "/models", {}, 200, {}),
    ("GET", "/models/none", {}, 404, {}),
    ("GET", "/healthz", {}, 200, {}),
    ("GET", "/metrics", {}, 200, {}),
    ("GET", "/session", {}, 200, {}),
    ("GET", "/nowhere", {}, 404, {}),
    ("GET", "/generate", {}, 405, {}),
    ("OPTIONS", "/generate", {}, 405, {}),
    ("POST", "/generate", {"files": MASK}, 200, {}),
    ("POST", "/generate", {"content": b"x" * 3000}, 413, {}),
    ("POST", "/generate", {"content": b"x"}, 415, {}),
    ("POST", "/generate", {"json": {}}, 422, {}),
    ("POST", "/generate", {"files": MASK, "headers": {"origin": "https://evil.example"}}, 403, {}),
    (
        "OPTIONS",
        "/generate",
        {"headers": {"origin": "https://friend.example", "access-control-request-method": "POST"}},
        200,
        {},
    ),
    (
        "OPTIONS",
        "/generate",
        {"headers": {"origin": "https://evil.example", "access-control-request-method": "POST"}},
        400,
        {},
    ),
    ("GET", "/models", {"headers": {"host": "evil.example"}}, 421, {}),
    ("BREW", "/models", {}, 405, {}),
]


def check(answer: httpx.Response, differences: dict[str, str]) -> None:
    for name, value in {**EVERY_ANSWER, **differences}.items():
        assert answer.headers.get_list(name) == [value], name
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "max_body_bytes": 2048,
        "cors_origins": "https://friend.example",
        "sharing": True,
        "data_dir": tmp_path,
    }


@pytest.mark.parametrize("root_path", ["", "/paint"])
def test_every_kind_of_answer_has_every_header(
    client: Client, settings: dict[str, Any], root_path: str
) -> None:
    async def main() -> None:
        async with client(root_path=root_path, **settings) as http:
            assets = f"/assets/{http.app.state.services.page.hash}"
            for method, path, options, status, differences in ANSWERS:
                if method == "OPTIONS" and "headers" not in options:
                    options = {"headers": {"origin": "https://localhost"}}  # noqa: PLW2901  no preflight
                answer = await http.request(method, path.format(assets=assets), **options)
                assert answer.status_code == status, (method, path)
                check(answer, differences)

    run(main())


def test_refusals_of_the_guard_have_every_header(client: Client, tmp_path: Path) -> None:
    async def main() -> None:
        async with client(require_token=True, tokens_file=tmp_path / "tokens.json") as http:
            refused = await http.get("/models")
            assert refused.status_code == 401
            check(refused, {})
        async with client(client_rate=0.01, client_burst=1) as http:
            await http.get("/models")
            refused = await http.get("/models")
            assert refused.status_code == 429
            check(refused, {})

    run(main())


def test_a_failure_has_every_header(
    client: Client, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with client(request_timeout=0.2) as http:
            library.gate.clear()
            slow = await http.post("/generate", files=MASK)
            library.gate.set()
            assert slow.status_code == 503
            check(slow, {})
            monkeypatch.setattr(library, "specs", None)
            with capture_logs():  # a traceback drawn for people takes seconds
                failed = await http.get("/models")
            assert failed.status_code == 500
            check(failed, {})

    run(main())


def test_signing_in_has_every_header(client: Client, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with client(require_token=True, tokens_file=tokens.path) as http:
            for answer in (
                await http.post("/session", json={"token": given}),
                await http.delete("/session"),
                await http.post("/session", json={"token": ""}),
            ):
                check(answer, {})

    run(main())


def test_https_is_made_lasting_only_over_https_and_only_if_asked_for(client: Client) -> None:
    async def main() -> None:
        for hsts, scheme, expected in (
            (True, "https", "max-age=31536000"),
            (True, "http", None),
            (False, "https", None),
        ):
            async with client(hsts=hsts) as http:
                for path in ("/", "/nowhere"):
                    answer = await http.get(f"{scheme}://localhost{path}")
                    assert answer.headers.get("strict-transport-security") == expected

    run(main())


def test_the_policies_allow_nothing_from_elsewhere() -> None:
    for policy in (API_POLICY, PAGE_POLICY, DOCS_POLICY):
        assert "frame-ancestors 'none'" in policy
        assert policy.startswith("default-src 'none'" if policy == API_POLICY else "default-src 'self'")
        assert not re.search(r"https?:|\*|unsafe-eval|script-src", policy)


ADDRESS = re.compile(r'(?:href|src|content|action)="(/[^"]*|https?://[^"]*)"')


def test_every_address_lies_under_the_root_path(client: Client, settings: dict[str, Any]) -> None:
    from tests.server.sharing.projects import simple  # noqa: PLC0415
    from tests.server.test_shares import PROJECT  # noqa: PLC0415

    async def main() -> None:
        sizes = {**settings, "max_body_bytes": 1024 * 1024}
        async with client(root_path="/paint", **sizes) as http:
            for path in ("/", UNKNOWN, "/docs"):
                found = ADDRESS.findall((await http.get(path)).text)
                assert len(found) > 3
                assert all(address.startswith("/paint") for address in found), found
            assert '"/paint/openapi.json"' in (await http.get("/docs/start.js")).text
            shared = await http.post("/shares", content=simple(), headers=PROJECT)
            assert shared.headers["location"].startswith("/paint/shares/")
            assert shared.json()["url"].startswith("/paint/s/")

    run(main())
