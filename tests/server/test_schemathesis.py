"""Every operation of the OpenAPI document, asked rightly and wrongly: what it answers is documented.

A bounded run against a server in a thread; `python -m tests.fuzzing schema --inputs 20000` is a long one.
"""

from pathlib import Path

import pytest

from server.app import create_app
from server.settings import Settings
from tests.fuzzing.harness import Report
from tests.fuzzing.schema import SETTINGS, Asker, ask_at_random, ask_boundaries, register_files
from tests.server.conftest import served
from tests.server.fake_engine import FakeLibrary


def test_every_answer_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    register_files()
    with served(FakeLibrary(), data_dir=tmp_path / "data") as server:
        asker = Asker(server.url, Report("schema", 1), tmp_path)
        ask_boundaries(asker, most=10)
        ask_at_random(asker, each=16, seed=1)
        labels = {operation.label for operation in asker.operations}
    report = asker.report
    assert report.crashes == {}
    assert asker.by_operation.keys() == labels, "every operation was asked"
    assert {"POST /generate", "POST /edit", "POST /segment", "POST /styles", "POST /shares"} <= labels
    assert not [status for answers in asker.by_operation.values() for status in answers if status >= 500]
    assert report.accepted > 15, report.verdicts
    assert report.refused > 100, report.verdicts


def test_null_in_json_is_documented_where_it_is_taken() -> None:
    body = create_app(Settings(), FakeLibrary()).openapi()["paths"]["/generate"]["post"]["requestBody"]
    fields = {media: content["schema"]["properties"] for media, content in body["content"].items()}
    for name in ("model", "seed", "width", "instances", "style_map"):
        assert {"type": "null"} in fields["application/json"][name]["anyOf"]
        assert "null" not in str(fields["multipart/form-data"][name]), "a form cannot say it"
    assert "null" not in str(fields["application/json"]["mask"])
    assert "null" not in str(fields["application/json"]["lossless"])
