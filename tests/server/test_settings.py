"""Settings: read from the environment, checked, and every one documented."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engine import MAX_REGIONS
from models.spec import MAX_STYLE_DIM
from server.services import batch_size, open_library
from server.settings import Settings, SeveralWorkersError, refuse_several_workers
from tests.server.fake_engine import FakeLibrary

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def rows() -> dict[str, tuple[str, str]]:
    """Variable → (default, meaning), as the document's tables have them."""
    pattern = r"^\| `(SCENEBRUSH_\w+)` \| (.+?) \| (.+) \|$"
    return {name: (default, text) for name, default, text in re.findall(pattern, DOCUMENT.read_text(), re.M)}


def shown(value: Any) -> str:
    """A default as the document writes it."""
    if value in (None, "", ()):
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def test_every_setting_is_documented_and_nothing_else() -> None:
    expected = {
        f"SCENEBRUSH_{name.upper()}": (shown(field.default), field.description)
        for name, field in Settings.model_fields.items()
    }
    assert rows() == expected


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PORT", "8123", "port", 8123),
        ("ROOT_PATH", "paint/", "root_path", "/paint"),
        ("ROOT_PATH", "/", "root_path", ""),
        ("ALLOWED_HOSTS", "a.example, b.example,", "allowed_hosts", ("a.example", "b.example")),
        ("CORS_ORIGINS", "https://a.example/", "cors_origins", ("https://a.example",)),
        ("MODELS_DIR", "/models", "models_dir", Path("/models")),
        ("THREADS", "3", "threads", 3),
        ("CACHE_MB", "64", "cache_mb", 64),
        ("SESSION_MB", "0", "session_mb", 0),
        ("BATCH", "4", "batch", 4),
        ("DOCS", "false", "docs", False),
        ("PORT", "", "port", 8000),
    ],
)
def test_the_environment_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(f"SCENEBRUSH_{variable}", text)
    assert getattr(Settings(), field) == value


def test_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENEBRUSH_PORT", "8123")
    assert Settings(port=9000).port == 9000


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "70000"),
        ("PORT", "x"),
        ("PRECISION", "fp8"),
        ("JPEG_QUALITY", "0"),
        ("QUEUE_LENGTH", "0"),
        ("BATCH", "0"),
        ("CACHE_MB", "-1"),
        ("IDLE_TIMEOUT", "0"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(f"SCENEBRUSH_{variable}", text)
    with pytest.raises(ValidationError):
        Settings()


def test_hosts_follow_the_address() -> None:
    assert Settings().hosts == ("localhost", "127.0.0.1", "::1")
    assert Settings(host="0.0.0.0").hosts == ("*",)
    assert Settings(host="0.0.0.0", allowed_hosts=("a",)).hosts == ("a", "localhost", "127.0.0.1", "::1")


def test_a_live_message_may_hold_a_whole_map() -> None:
    assert Settings(max_pixels=10**6).max_message_bytes >= 10**6 + 20
    longest = json.dumps([[-1.234567890123456e-05] * MAX_STYLE_DIM] * (1 + MAX_REGIONS))
    assert Settings(max_pixels=4096).max_message_bytes >= len(longest)


@pytest.mark.parametrize(
    ("device", "batch", "size"),
    [
        ("CPU (2 threads)", None, 1),
        ("CPU (2 threads)", 4, 4),
        ("NVIDIA H200", None, 8),
        ("NVIDIA H200", 1, 1),
    ],
)
def test_how_many_are_painted_together(device: str, batch: int | None, size: int) -> None:
    library: Any = FakeLibrary(device_name=device)
    assert batch_size(Settings(batch=batch), library) == size


def test_the_memory_settings_reach_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("server.services.Library.builtin", lambda **options: given.update(options))
    open_library(Settings(cache_mb=99, session_mb=7))
    assert (given["cache_mb"], given["session_mb"]) == (99, 7)


@pytest.mark.parametrize(
    ("environ", "argv", "asked_by"),
    [
        ({"WEB_CONCURRENCY": "2"}, [], "WEB_CONCURRENCY=2"),
        ({}, ["uvicorn", "--workers", "4", "server.app:app"], "--workers 4"),
        ({}, ["uvicorn", "--workers=4"], "--workers 4"),
        ({}, ["gunicorn", "-w", "3"], "--workers 3"),
    ],
)
def test_several_workers_are_refused(environ: dict[str, str], argv: list[str], asked_by: str) -> None:
    with pytest.raises(SeveralWorkersError, match="one process") as refusal:
        refuse_several_workers(environ, argv)
    assert asked_by in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "argv"),
    [
        ({}, []),
        ({"WEB_CONCURRENCY": "1"}, ["uvicorn", "--workers", "1"]),
        ({"WEB_CONCURRENCY": ""}, ["uvicorn", "--workers"]),
    ],
)
def test_one_worker_is_welcome(environ: dict[str, str], argv: list[str]) -> None:
    refuse_several_workers(environ, argv)
