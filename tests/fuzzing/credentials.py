"""The file of tokens, what a request brings as a token, addresses of clients, and the settings.

An input is a byte that names the reader, and what it reads.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

from pydantic import ValidationError
from starlette.datastructures import Headers

from server.guard.guard import _given
from server.guard.tokens import UnreadableTokensError, find_token, make_token, read_tokens, write_tokens
from server.settings import Settings
from tests.fuzzing.harness import ACCEPTED, Target
from tests.fuzzing.mutation import STRANGE, spoilt
from tests.server.fuzz import mutated

NOW = 1_800_000_000.0


# -- Judging


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="scenebrush-fuzzing-")


def _file(data: bytes) -> str:
    path = Path(_folder().name) / "tokens.json"
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(data)
    try:
        tokens = read_tokens(path)
    except UnreadableTokensError:
        return "unreadable"
    assert len({token.id for token in tokens}) == len(tokens)
    write_tokens(path, tokens)
    assert read_tokens(path) == tokens, "a file of tokens that was read is written as another"
    return ACCEPTED


@cache
def _token() -> tuple[object, str]:
    with (
        mock.patch("secrets.token_hex", return_value="ab" * 6),
        mock.patch("secrets.token_urlsafe", return_value="x" * 43),
    ):
        return make_token("one", NOW, None)


def _headers(data: bytes) -> str:
    """Lines `name: value`, as bytes of a request's head."""
    pairs = [line.partition(b": ") for line in data.split(b"\r\n")]
    given = _given(Headers(raw=[(name.lower(), value) for name, _, value in pairs]))
    token, secret = _token()
    found = None if given is None else find_token([token], given, NOW)
    assert (found is not None) == (given == secret), "another token was taken for the one that there is"
    return ACCEPTED if found else "none" if given is None else "unknown"


def _settings(data: bytes) -> str:
    """Lines `name=value` of an environment."""
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    values = {f"SCENEBRUSH_{name}": value for name, _, value in lines if name and "\0" not in name + value}
    with mock.patch.dict(os.environ, values, clear=True):
        try:
            settings = Settings()
        except ValidationError:
            return "setting"
    assert settings.max_message_bytes >= settings.max_pixels
    assert settings.hosts
    return ACCEPTED


READERS: tuple[Callable[[bytes], str], ...] = (_file, _headers, _settings)


def judge(data: bytes) -> str:
    """Let the reader that the input names read it."""
    return READERS[data[0] % len(READERS)](data[1:]) if data else "empty"


# -- Making


def make(rng: random.Random) -> bytes:
    """Something for one of the readers, spoilt or not."""
    number = rng.randrange(len(READERS))
    content = (_token_file, _head, _environment)[number](rng)
    return bytes([number]) + (mutated(rng, content) if rng.random() < 0.4 else content)


def _token_file(rng: random.Random) -> bytes:
    tokens = [
        {
            "id": f"{rng.randrange(2**48):012x}",
            "name": f"Anna {n}",
            "hash": "0" * 64,
            "created": n,
            "expires": None,
        }
        for n in range(rng.randrange(4))
    ]
    document = {"format": "scenebrush-tokens", "version": 1, "tokens": tokens}
    text = json.dumps(spoilt(rng, document, rng.choice([0, 1, 1, 3]))).encode()
    return rng.choice([text, text, text, b"[" * rng.randrange(5000), b'{"tokens":' * rng.randrange(2000)])


def _head(rng: random.Random) -> bytes:
    secret = _token()[1].encode()
    given = rng.choice([secret, mutated(rng, secret), secret[:-1], secret + b"=", b"", rng.randbytes(40)])
    scheme = rng.choice([b"Bearer ", b"bearer ", b"Basic ", b"Bearer  ", b"Bearer\t", b""])
    cookie = rng.choice(
        [b"scenebrush_token=", b"a=b; scenebrush_token=", b"scenebrush_token=x; scenebrush_token=", b""]
    )
    lines = [
        b"Authorization: " + scheme + given,
        b"Cookie: " + cookie + given,
        b"Cookie: " + rng.randbytes(9),
    ]
    return b"\r\n".join(rng.sample(lines, rng.randrange(1, 4)))


def _environment(rng: random.Random) -> bytes:
    names = rng.sample(list(Settings.model_fields), rng.randrange(1, 4))
    texts = [*map(str, STRANGE), "127.0.0.1", "a,b , c", "0.5", "auto", "https://x", "/paint"]
    lines = [f"{name.upper()}={rng.choice(texts)}" for name in names]
    return "\n".join(lines).encode("utf-8", "replace")


TARGET = Target("credentials", make, judge)
