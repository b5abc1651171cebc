"""Nothing secret is logged or repeated, whatever happens: no token, no cookie, no picture."""

import base64
import json
import socket
import sys
import time
from pathlib import Path

import httpx
import numpy as np
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from server import protocol
from server.guard.tokens import TokenFile
from tests.server.conftest import palette_png
from tests.server.test_live import Page
from tests.serving import Server, serve

POISON = 7
SERVER = f"""
from server import logs
from server.app import create_app
from server.serving import make_server
from server.settings import Settings
from tests.server.fake_engine import FakeLibrary

settings = Settings()
logs.configure(settings.log_format, settings.log_level)
make_server(create_app(settings, FakeLibrary(poison={POISON})), settings).run()
"""
GUESS = "sb_0123456789ab_" + "Guess" * 8 + "abc"
STRANGE = "Zm9yZWlnbi1zZWNyZXQ"


def test_nothing_secret_is_logged_or_repeated(root: Path, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.add("Anna", time.time())
    settings = {
        "SCENEBRUSH_LOG_LEVEL": "debug",
        "SCENEBRUSH_LOG_FORMAT": "json",
        "SCENEBRUSH_REQUIRE_TOKEN": "true",
        "SCENEBRUSH_TOKENS_FILE": str(tokens.path),
        "SCENEBRUSH_REQUEST_TIMEOUT": "20",
        "PYTHONPATH": str(root),
    }
    good = palette_png(np.arange(256, dtype=np.uint8).reshape(16, 16) % 6 + 1)
    bad = palette_png(np.full((16, 16), POISON, np.uint8))
    with serve([sys.executable, "-c", SERVER], cwd=tmp_path, settings=settings) as server:
        said = requests(server, token, good, bad)
        sockets(server, token)
        nonsense(server, token)
        tokens.path.write_text(json.dumps({"tokens": [token]}))
        while httpx.get(f"{server.url}/models", headers=bearer(token)).status_code != 503:
            time.sleep(0.05)
        time.sleep(0.3)
    log = server.log.decode()
    for event in ("request failed", "RuntimeError: poisoned", "live render failed", "cannot be read"):
        assert event in log, f"the test did not provoke {event!r}"
    secrets = {
        "the token": token.split("_", 2)[2],
        "a guess": "GuessGuess",
        "another credential": STRANGE,
        "the token's cookie": "scenebrush_token=",
        "the header": "Bearer",
        "a picture's bytes": "PNG",
        "a picture in base64": base64.b64encode(good).decode()[:40],
        "a broken picture in base64": base64.b64encode(bad).decode()[-60:-4],
        "a file's name": "holiday",
    }
    for what, text in secrets.items():
        assert text not in log, f"{what} is in the log"
    for what in ("the token", "a guess", "another credential", "the token's cookie"):
        assert secrets[what] not in said, f"{what} is in an answer"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def requests(server: Server, token: str, good: bytes, bad: bytes) -> str:
    """Ask for all kinds of things; what was answered, the metrics included."""
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=server.url) as http:
        for headers in (
            bearer(token),
            bearer(GUESS),
            bearer(STRANGE),
            {"authorization": f"Basic {STRANGE}"},
            {"cookie": f"scenebrush_token={GUESS}"},
            {"authorization": GUESS},
        ):
            for mask in (good, bad):
                files = {"mask": ("holiday.png", mask)}
                content = {"mask": base64.b64encode(mask).decode()}
                answers += [
                    http.post("/generate", files=files, headers=headers),
                    http.post("/generate", json=content, headers=headers),
                    http.post("/generate", content=json.dumps(content)[:-9], headers=headers),
                    http.post("/generate", json={**content, "seed": GUESS}, headers=headers),
                ]
            answers.append(http.get("/nowhere", headers=headers))
        statuses = {answer.status_code for answer in answers[:9]}
        assert {200, 500} <= statuses, statuses
        for given in (token[:-1], GUESS, "", {"token": token}, [token]):
            answers.append(http.post("/session", json={"token": given}))
        answers.append(http.post("/session", content=f'{{"token": "{token}'.encode()))
        http.post("/session", json={"token": token}).raise_for_status()
        assert http.get("/session").json()["name"] == "Anna"
        answers += [http.get("/models"), http.get("/session")]
        http.delete("/session").raise_for_status()
        answers.append(http.get(f"/models?token={token}&x={GUESS}"))
        answers.append(http.get("/metrics", headers=bearer(token)))
    return "".join(f"{answer.text}{answer.headers}" for answer in answers)


def sockets(server: Server, token: str) -> None:
    """Paint, fail, speak nonsense, and come without a token."""
    address = f"{server.url.replace('http', 'ws')}/live?token={token}"
    options = {"subprotocols": [Subprotocol(protocol.SUBPROTOCOL)], "proxy": None}
    for headers in ({}, bearer(GUESS), {"Cookie": f"scenebrush_token={GUESS}"}):
        with connect(address, additional_headers=headers, **options) as socket:
            assert Page(socket).closed() == 4401
    with connect(address, additional_headers=bearer(token), **options) as socket:
        one = Page(socket)
        one.open()
        one.whole()
        one.frame()
        one.patch(value=POISON)
        while one.hear("error")["code"] != "internal":
            pass
        one.socket.send(f'{{"type": "{token}", "style": "{GUESS}"')
        assert one.closed() == 4400
    with connect(address, additional_headers=bearer(token), **options) as socket:
        one = Page(socket)
        one.say(type="style", epoch=1, revision=1, seed=GUESS)
        assert GUESS not in json.dumps(one.hear("error"))
        assert one.closed() == 4400
    with connect(address.replace("/live", "/nowhere"), proxy=None) as socket:
        assert Page(socket).closed() == 4401


def nonsense(server: Server, token: str) -> None:
    """What is no HTTP, with a token in it."""
    port = httpx.URL(server.url).port
    upgrade = "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    for lines in (
        f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nbroken {token}\r\n\r\n",
        f"{token} nonsense\r\n\r\n",
        f"{upgrade}Authorization: Bearer {token}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(lines.encode())
            answer = peer.recv(65536)
            assert answer.startswith(b"HTTP/1.1 4")
            assert token.encode() not in answer
