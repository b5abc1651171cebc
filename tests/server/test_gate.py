"""The gate: what needs a token and what does not, signing in, and one client's share of requests."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from server.clients import client_of
from server.guard.tokens import TokenFile
from tests.server.conftest import Client, palette_png, run
from tests.server.fake_engine import FakeLibrary
from tests.server.test_app import problem

MASK = {"mask": palette_png(np.full((16, 16), 3, np.uint8))}
PUBLIC = ["/", "/healthz", "/readyz", "/session", "/s/AAAAAAAAAAAAAAAAAAAAAA"]
CLOSED = [
    "/metrics",
    "/docs",
    "/docs/start.js",
    "/docs/files/swagger-ui.css",
    "/openapi.json",
    "/models",
    "/models/fake",
    "/shares/AAAAAAAAAAAAAAAAAAAAAA",
    "/live",
    "/nowhere",
    "//",
    "/assets",
    "/assets/../models",
    "/session/",
]


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def guarded(client: Client, tokens: TokenFile, tmp_path: Path) -> Callable[..., Any]:
    """The client of a server that asks for tokens."""

    def open_client(**settings: Any) -> Any:
        return client(
            require_token=True, tokens_file=tokens.path, sharing=True, data_dir=tmp_path, **settings
        )

    return open_client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_without_the_setting_nobody_is_asked(client: Client, tokens: TokenFile) -> None:
    async def main() -> None:
        async with client(tokens_file=tokens.path) as http:
            assert (await http.get("/models", headers=bearer("sb_wrong"))).status_code == 200
            asked = (await http.get("/session")).json()
            assert asked == {"required": False, "signed_in": False, "name": None}
            problem(await http.post("/session", json={"token": "sb_x"}), 404, "no-tokens")

    run(main())


def test_what_needs_a_token_and_what_does_not(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with guarded() as http:
            for path in PUBLIC:
                assert (await http.get(path)).status_code in (200, 404), path
                assert (await http.get(path)).headers["content-type"] != "application/problem+json"
                assert (await http.head(path)).status_code != 401 or path == "/session"
            page = (await http.get("/")).text
            script = page.partition('<script type="module" src="')[2].partition('"')[0]
            assert (await http.get(script)).status_code == 200
            for path in CLOSED:
                url = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
                refused = await http.get(url)
                problem(refused, 401, "token-needed")
                assert refused.headers["www-authenticate"] == "Bearer"
                problem(await http.get(url, headers=bearer(f"{given}x")), 401, "token-unknown")
                assert (await http.get(url, headers=bearer(given))).status_code != 401
            for path in ("/generate", "/edit", "/segment", "/styles", "/shares", "/", "/healthz"):
                problem(await http.post(path, files=MASK), 401, "token-needed")
            assert (await http.post("/generate", files=MASK, headers=bearer(given))).status_code == 200

    run(main())


def test_under_a_path_the_same_is_public(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    async def main() -> None:
        async with guarded(root_path="/paint") as http:
            for base in ("http://localhost", "http://localhost/paint"):
                assert (await http.get(f"{base}/session")).status_code == 200
                problem(await http.get(f"{base}/models"), 401, "token-needed")

    run(main())


def test_the_address_is_not_read(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with guarded() as http:
            for query in (f"token={given}", f"access_token={given}", f"scenebrush_token={given}"):
                problem(await http.get(f"/models?{query}"), 401, "token-needed")

    run(main())


def test_tokens_come_and_go_while_the_server_runs(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    async def main() -> None:
        async with guarded() as http:
            given = tokens.add("Anna", time.time())
            while (await http.get("/models", headers=bearer(given))).status_code != 200:
                await asyncio.sleep(0.05)
            tokens.revoke("Anna")
            while (await http.get("/models", headers=bearer(given))).status_code != 401:
                await asyncio.sleep(0.05)
            over = tokens.add("Ben", time.time() - 2 * 24 * 60 * 60, days=1)
            await asyncio.sleep(0.6)  # the store has looked again
            problem(await http.get("/models", headers=bearer(over)), 401, "token-unknown")

    run(main())


def test_a_broken_file_lets_nobody_in(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())
    tokens.path.write_text("{")

    async def main() -> None:
        async with guarded() as http:
            for headers in (bearer(given), {}):
                refused = await http.get("/models", headers=headers)
                problem(refused, 503, "tokens-unreadable")
                assert refused.headers["retry-after"]
            problem(await http.post("/session", json={"token": given}), 503, "tokens-unreadable")
            assert (await http.get("/")).status_code == 200
            assert (await http.get("/session")).json()["required"]
            tokens.path.unlink()
            again = tokens.add("Anna", time.time())
            while (mended := await http.get("/models", headers=bearer(again))).status_code == 503:
                await asyncio.sleep(0.05)
            assert mended.status_code == 200

    run(main())


# Signing in


@pytest.mark.parametrize(("scheme", "root_path", "path"), [("http", "", "/"), ("https", "/paint", "/paint")])
def test_a_browser_signs_in_and_out(
    guarded: Callable[..., Any], tokens: TokenFile, scheme: str, root_path: str, path: str
) -> None:
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with guarded(root_path=root_path) as http:
            base = f"{scheme}://localhost{root_path}"
            problem(await http.post(f"{base}/session", json={"token": given[:-1]}), 401, "token-unknown")
            asked = (await http.get(f"{base}/session")).json()
            assert asked == {"required": True, "signed_in": False, "name": None}
            signed = await http.post(f"{base}/session", json={"token": f" {given}\n"})
            assert signed.status_code == 204
            cookie = signed.headers["set-cookie"]
            parts = [part.strip().lower() for part in cookie.split(";")]
            assert cookie.startswith(f"scenebrush_token={given};")
            assert {"httponly", "samesite=strict", f"path={path}"} <= set(parts)
            assert ("secure" in parts) == (scheme == "https")
            assert (await http.get(f"{base}/models")).status_code == 200
            asked = (await http.get(f"{base}/session")).json()
            assert asked == {"required": True, "signed_in": True, "name": "Anna"}
            gone = await http.delete(f"{base}/session")
            assert gone.status_code == 204
            assert "max-age=0" in gone.headers["set-cookie"].lower()
            assert f"path={path}" in gone.headers["set-cookie"].lower()
            problem(await http.get(f"{base}/models"), 401, "token-needed")

    run(main())


def test_the_cookie_ends_with_the_token(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time(), days=1)

    async def main() -> None:
        async with guarded() as http:
            cookie = (await http.post("/session", json={"token": given})).headers["set-cookie"]
            seconds = int(cookie.lower().partition("max-age=")[2].partition(";")[0])
            assert 0 < seconds <= 24 * 60 * 60

    run(main())


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b'{"token": "x"}', "text/plain", 415, "unsupported-body"),
        (b"{", "application/json", 400, "unreadable-body"),
        (b'"' + b"x" * 5000 + b'"', "application/json", 413, "body-too-large"),
        (b'{"token": 7}', "application/json", 422, "invalid-value"),
        (b"[]", "application/json", 422, "invalid-value"),
        (b'{"token": ""}', "application/json", 401, "token-unknown"),
    ],
)
def test_signing_in_says_what_is_wrong(
    guarded: Callable[..., Any], body: bytes, media: str, status: int, code: str
) -> None:
    async def main() -> None:
        async with guarded() as http:
            answer = await http.post("/session", content=body, headers={"content-type": media})
            problem(answer, status, code)

    run(main())


def test_no_page_elsewhere_can_sign_somebody_in(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with guarded() as http:
            elsewhere = {"origin": "https://evil.example"}
            answer = await http.post("/session", json={"token": given}, headers=elsewhere)
            problem(answer, 403, "wrong-origin")
            assert "set-cookie" not in answer.headers

    run(main())


def test_a_preflight_needs_no_token(guarded: Callable[..., Any]) -> None:
    async def main() -> None:
        async with guarded(cors_origins="https://friend.example") as http:
            origin = {"origin": "https://friend.example"}
            ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
            allowed = await http.options("/generate", headers=origin | ask)
            assert allowed.status_code == 200
            assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
            refused = await http.post("/generate", files=MASK, headers=origin)
            problem(refused, 401, "token-needed")
            assert refused.headers["access-control-allow-origin"] == "https://friend.example"

    run(main())


def test_the_token_that_deletes_a_share_is_no_token_of_the_server(
    guarded: Callable[..., Any], tokens: TokenFile
) -> None:
    given = tokens.add("Anna", time.time())

    async def main() -> None:
        async with guarded() as http:
            address = "/shares/AAAAAAAAAAAAAAAAAAAAAA"
            problem(await http.delete(address, headers=bearer("x" * 43)), 401, "token-needed")
            http.cookies.set("scenebrush_token", given)
            problem(await http.delete(address, headers=bearer("x" * 43)), 404, "unknown-share")

    run(main())


# Shares


def test_too_many_requests_at_once_are_refused(client: Client) -> None:
    async def main() -> None:
        async with client(client_rate=0.01, client_burst=3) as http:
            answers = [await http.get("/models") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            problem(answers[3], 429, "too-many-requests")
            assert 1 <= int(answers[3].headers["retry-after"]) <= 101
            # What a page and a monitor need is never refused.
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 200
            assert (await http.get("/assets/0/x.js")).status_code == 404
            assert (await http.get("/")).status_code == 429
            assert 'refused_total{reason="rate"}' in http.app.state.services.metrics.exposition().decode()

    run(main())


def test_each_client_has_a_share_of_its_own(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    anna, ben = tokens.add("Anna", time.time()), tokens.add("Ben", time.time())

    async def main() -> None:
        async with guarded(client_rate=0.01, client_burst=2) as http:
            for number in range(3):
                last = await http.get("/models", headers=bearer(f"sb_guess{number}"))
            problem(last, 429, "too-many-requests")  # guesses count against the address
            for token in (anna, ben):
                statuses = [(await http.get("/models", headers=bearer(token))).status_code for _ in range(3)]
                assert statuses == [200, 200, 429]

    run(main())


def test_wrong_tokens_at_the_sign_in_count(guarded: Callable[..., Any]) -> None:
    async def main() -> None:
        async with guarded(client_rate=0.01, client_burst=5) as http:
            answers = [await http.post("/session", json={"token": "sb_guess"}) for _ in range(6)]
            assert [answer.status_code for answer in answers] == [401] * 5 + [429]

    run(main())


def test_one_client_works_on_a_few_requests_at_once(client: Client, library: FakeLibrary) -> None:
    async def main() -> None:
        async with client(client_requests=2) as http:
            library.gate.clear()
            first = [asyncio.create_task(http.post("/generate", files=MASK)) for _ in range(2)]
            while http.app.state.services.worker.scheduler.queued < 1:
                await asyncio.sleep(0.005)
            refused = await http.post("/generate", files=MASK)
            problem(refused, 429, "too-many-requests")
            assert refused.headers["retry-after"]
            assert (await http.get("/models")).status_code == 200
            library.gate.set()
            assert [(await answer).status_code for answer in first] == [200, 200]
            assert (await http.post("/generate", files=MASK)).status_code == 200

    run(main())


def test_routes_hear_who_asks(guarded: Callable[..., Any], tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())
    heard: list[str] = []

    async def main() -> None:
        async with guarded() as http:

            class Listen:
                def __init__(self, app: Any) -> None:
                    self.app = app

                async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                    await self.app(scope, receive, send)
                    if scope["type"] == "http":
                        heard.append(client_of(scope))

            transport = httpx.ASGITransport(Listen(http.app), client=("2001:db8::7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
                await other.get("/models", headers=bearer(given))
                await other.get("/healthz")
                await other.get("/models")

    run(main())
    assert heard == [f"token:{tokens.tokens()[0].id}", "address:2001:db8::/64", "address:2001:db8::/64"]


# Time


def test_a_request_that_takes_too_long_is_stopped(client: Client, library: FakeLibrary) -> None:
    async def main() -> None:
        async with client(request_timeout=0.3) as http:
            library.gate.clear()
            refused = await http.post("/generate", files=MASK)
            problem(refused, 503, "too-slow")
            assert refused.headers["retry-after"]
            library.gate.set()
            scheduler = http.app.state.services.worker.scheduler
            while not scheduler.idle:
                await asyncio.sleep(0.005)
            assert (await http.post("/generate", files=MASK)).status_code == 200

    run(main())
