"""Sharing by link over HTTP: off by default; what is shared, opened and deleted, and what is refused."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from server import cli, commands
from server.settings import Settings
from server.sharing import service, store
from server.sharing.database import UnusableDatabase
from server.sharing.project import MEDIA_TYPE, rewrite
from tests.server.conftest import Client, run, served
from tests.server.fake_engine import FakeLibrary
from tests.server.sharing.projects import LIMITS, files, project, simple, unzipped, zipped

PROJECT = {"content-type": MEDIA_TYPE}


@pytest.fixture
def sharing(tmp_path: Path) -> dict[str, Any]:
    return {"sharing": True, "data_dir": tmp_path / "data"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:scenebrush:problem:{code}"
    assert all(body[field] for field in ("title", "detail", "next", "request_id"))
    return body


async def share(http: httpx.AsyncClient, data: bytes) -> dict[str, Any]:
    response = await http.post("/shares", content=data, headers=PROJECT)
    assert response.status_code == 201, response.text
    return response.json()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_off_by_default_nothing_is_there_and_nothing_is_written(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    async def main() -> None:
        async with client() as http:
            assert (await http.get("/models")).json()["sharing"] is False
            problem(await http.post("/shares", content=simple(), headers=PROJECT), 404, "not-found")
            problem(await http.get("/shares/" + "x" * 22), 404, "not-found")
            problem(await http.get("/s/" + "x" * 22), 404, "not-found")
            assert "/shares" not in (await http.get("/openapi.json")).json()["paths"]
            assert 'name="robots"' not in (await http.get("/")).text

    run(main())
    assert not list(tmp_path.iterdir())


def test_the_folder_is_where_the_desktop_wants_data(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    async def main() -> None:
        async with client(sharing=True) as http:
            await share(http, simple())

    run(main())
    folder = tmp_path / "scenebrush"
    assert (folder / "shares.sqlite3").is_file()
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert service._default_folder() == Path("/home/somebody/.local/share/scenebrush")

    def homeless(_path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(UnusableDatabase, match="SCENEBRUSH_DATA_DIR"):
        service.open_sharing(Settings(sharing=True))


def test_a_painting_is_shared_opened_and_deleted(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing) as http:
            assert (await http.get("/models")).json()["sharing"] is True
            response = await http.post("/shares", content=project(), headers=PROJECT)
            made = response.json()
            assert response.status_code == 201
            assert response.headers["location"] == f"/shares/{made['id']}"
            assert made["url"] == f"/s/{made['id']}"
            expires = datetime.fromisoformat(made["expires"])
            assert 29.9 < (expires - datetime.now(UTC)).total_seconds() / 86400 < 30.1

            got = await http.get(f"/shares/{made['id']}")
            assert got.status_code == 200
            assert got.content == rewrite(project(), LIMITS)
            assert got.content != project()
            assert {name: got.headers[name] for name in HEADERS} == HEADERS
            assert got.headers["content-length"] == str(len(got.content))

            problem(await http.delete(f"/shares/{made['id']}"), 401, "no-delete-token")
            problem(
                await http.delete(f"/shares/{made['id']}", headers=bearer("x" * 43)),
                403,
                "wrong-delete-token",
            )
            assert (await http.get(f"/shares/{made['id']}")).status_code == 200
            gone = await http.delete(f"/shares/{made['id']}", headers=bearer(made["delete_token"]))
            assert (gone.status_code, gone.content) == (204, b"")
            problem(await http.get(f"/shares/{made['id']}"), 404, "unknown-share")
            problem(
                await http.delete(f"/shares/{made['id']}", headers=bearer(made["delete_token"])),
                404,
                "unknown-share",
            )

    run(main())


HEADERS = {
    "content-type": MEDIA_TYPE,
    "content-disposition": 'attachment; filename="shared.scenebrush"',
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


def test_a_request_without_a_token_learns_nothing(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing) as http:
            made = await share(http, simple())
            for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}):
                answers = [
                    await http.delete(f"/shares/{share_id}", headers=headers)
                    for share_id in (made["id"], "x" * 22)
                ]
                said = [problem(answer, 401, "no-delete-token") for answer in answers]
                assert answers[0].headers["www-authenticate"] == "Bearer"
                assert said[0]["detail"] == said[1]["detail"]

    run(main())


def test_the_page_opens_it_and_asks_not_to_be_listed(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing) as http:
            made = await share(http, simple())
            for path, status in ((made["url"], 200), ("/s/" + "x" * 22, 404)):
                for method in ("GET", "HEAD"):
                    page = await http.request(method, path)
                    assert page.status_code == status
                    assert page.headers["content-type"] == "text/html; charset=utf-8"
                    assert page.headers["x-robots-tag"] == "noindex"
                    assert "default-src 'self'" in page.headers["content-security-policy"]
                html = (await http.get(path)).text
                assert '<meta name="robots" content="noindex">' in html
                assert f'<meta name="scenebrush-share" content="{path.rpartition("/")[2]}">' in html
            odd = await http.get('/s/"><script>alert(1)</script>' + "y" * 300)
            assert odd.status_code == 404
            assert "<script>alert" not in odd.text
            assert "y" * 50 not in odd.text
            assert "scenebrush-share" not in (await http.get("/")).text
            assert "x-robots-tag" not in (await http.get("/")).headers

    run(main())


def test_under_a_path_of_a_proxy(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(root_path="/paint", **sharing) as http:
            response = await http.post("/shares", content=simple(), headers=PROJECT)
            made = response.json()
            assert made["url"] == f"/paint/s/{made['id']}"
            assert response.headers["location"] == f"/paint/shares/{made['id']}"
            assert (await http.get(f"/s/{made['id']}")).status_code == 200

    run(main())


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"", PROJECT, 415, "not-a-project"),
        (b"PK\x03\x04", PROJECT, 422, "broken-project"),
        (zipped(files(version=2)), PROJECT, 422, "project-version"),
        (simple(width=4096), PROJECT, 422, "picture-too-large"),
        (bytes(60_000), PROJECT, 413, "project-too-large"),
        (bytes(90_000), PROJECT, 413, "body-too-large"),
        (simple(), {"content-type": "image/png"}, 415, "unsupported-body"),
        (simple(), {}, 415, "unsupported-body"),
        (simple(), PROJECT | {"origin": "https://evil.example"}, 403, "wrong-origin"),
    ],
)
def test_what_is_no_project_is_refused(
    client: Client, sharing: dict[str, Any], data: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async def main() -> None:
        async with client(**sharing, share_max_bytes=50_000, max_body_bytes=80_000) as http:
            problem(await http.post("/shares", content=data, headers=headers), status, code)
            assert (await share(http, simple()))["id"]

    run(main())


def test_limits_are_said(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing, share_max_count=1, share_days=0) as http:
            assert (await share(http, simple()))["expires"] is None
            problem(await http.post("/shares", content=simple(), headers=PROJECT), 507, "shares-full")

    run(main())


def test_only_so_many_are_on_their_way_at_once(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing, share_uploads=1) as http:
            arrived, rest = asyncio.Event(), asyncio.Event()

            async def slowly() -> AsyncIterator[bytes]:
                data = simple()
                yield data[:100]
                arrived.set()
                await rest.wait()
                yield data[100:]

            first = asyncio.create_task(http.post("/shares", content=slowly(), headers=PROJECT))
            await arrived.wait()
            busy = await http.post("/shares", content=simple(), headers=PROJECT)
            problem(busy, 503, "busy")
            assert int(busy.headers["retry-after"]) > 0
            rest.set()
            assert (await first).status_code == 201
            problem(await http.post("/shares", content=b"PK\x03\x04", headers=PROJECT), 422, "broken-project")
            assert await share(http, simple()), "every place was given back"

    run(main())


def test_nothing_runs_on_the_event_loop_or_the_device(
    client: Client, sharing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, str] = {}

    def noting(what: str, call: Any) -> Any:
        def noted(*args: Any) -> Any:
            names[what] = threading.current_thread().name
            return call(*args)

        return noted

    monkeypatch.setattr(service, "rewrite", noting("rewrite", rewrite))
    for what in ("add", "find", "read", "remove", "sweep"):
        monkeypatch.setattr(store.ShareStore, what, noting(what, getattr(store.ShareStore, what)))

    async def main() -> None:
        async with client(**sharing) as http:
            made = await share(http, simple())
            await http.get(f"/shares/{made['id']}")
            await http.delete(f"/shares/{made['id']}", headers=bearer(made["delete_token"]))

    run(main())
    assert names.keys() == {"rewrite", "add", "find", "read", "remove", "sweep"}
    assert all(name.startswith("sharing") for name in names.values()), names
    assert names["rewrite"].startswith("sharing-rewrite")


def test_too_many_calls_are_turned_away(
    client: Client, sharing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(service, "_MOST_WAITING", 3)
    find = store.ShareStore.find

    def held(*args: Any) -> int:
        gate.wait(10)
        return find(*args)

    async def main() -> None:
        async with client(**sharing) as http:
            made = await share(http, simple())
            monkeypatch.setattr(store.ShareStore, "find", held)
            waiting = [asyncio.create_task(http.get(f"/shares/{made['id']}")) for _ in range(3)]
            await asyncio.sleep(0.2)
            problem(await http.get(f"/shares/{made['id']}"), 503, "busy")
            gate.set()
            assert [(await one).status_code for one in waiting] == [200, 200, 200]
            assert (await http.get(f"/shares/{made['id']}")).status_code == 200

    run(main())


def test_what_expires_is_gone_and_swept(
    client: Client, sharing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with client(**sharing) as http:
            kept = http.app.state.services.sharing  # type: ignore[attr-defined]
            made = [await share(http, simple()) for _ in range(3)]
            monkeypatch.setattr(kept._store, "_clock", lambda: 1e11)
            problem(await http.get(f"/shares/{made[0]['id']}"), 404, "unknown-share")
            assert (await http.get(made[0]["url"])).status_code == 404
            monkeypatch.setattr(store, "_SWEPT_AT_ONCE", 2)
            await kept._sweep()
            monkeypatch.setattr(kept._store, "_clock", lambda: 0)
            problem(await http.get(f"/shares/{made[0]['id']}"), 404, "unknown-share")

    run(main())


@pytest.mark.parametrize("error", [store._unavailable(), ValueError("what nobody expected")])
def test_the_sweep_goes_on_after_a_database_that_did_not_answer(error: Exception) -> None:
    class Broken:
        calls = 0

        def sweep(self) -> int:
            self.calls += 1
            if self.calls == 1:
                raise error
            return 0

        def close(self) -> None: ...

    async def main() -> None:
        broken = Broken()
        kept = service.Sharing(broken, LIMITS, 1)  # type: ignore[arg-type]
        keeping = asyncio.create_task(kept.keep(0.01))
        while broken.calls < 3:
            await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await kept.close()

    run(asyncio.wait_for(main(), 10))


def test_painting_goes_on_without_the_database(client: Client, sharing: dict[str, Any]) -> None:
    folder = sharing["data_dir"]
    folder.write_text("a file where a folder should be")

    async def main() -> None:
        async with client(**sharing) as http:
            assert (await http.get("/models")).json()["sharing"] is True
            problem(await http.post("/shares", content=simple(), headers=PROJECT), 503, "sharing-unavailable")
            page = await http.get("/s/" + "x" * 22)
            assert page.status_code == 503
            assert "scenebrush-share" in page.text
            folder.unlink()
            assert await share(http, simple()), "it is asked again"

    run(main())


def test_a_large_painting_comes_in_pieces_from_a_real_server(
    library: FakeLibrary, sharing: dict[str, Any]
) -> None:
    noise = project(source="source.png")
    content = files(source="source.png") | {"source.png": noisy_png()}
    with served(library, **sharing) as server:
        made = httpx.post(f"{server.url}/shares", content=zipped(content), headers=PROJECT, timeout=60).json()
        got = httpx.get(f"{server.url}/shares/{made['id']}", timeout=60)
        assert got.content == rewrite(zipped(content), LIMITS)
        assert len(got.content) > 1_000_000 > len(noise)
        assert unzipped(got.content)["source.png"]


def noisy_png() -> bytes:
    import numpy as np  # noqa: PLC0415

    from tests.server.conftest import image_file  # noqa: PLC0415

    return image_file(np.random.default_rng(3).integers(0, 256, (640, 640, 3), np.uint8))


def test_openapi_describes_it(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing) as http:
            said = (await http.get("/openapi.json")).json()
            made = said["paths"]["/shares"]["post"]
            assert MEDIA_TYPE in made["requestBody"]["content"]
            assert {"201", "413", "415", "422", "503", "507"} <= made["responses"].keys()
            schema = said["components"]["schemas"]["ShareMade"]
            assert re.fullmatch(r"[\w-]{22}", schema["examples"][0]["id"])
            one = said["paths"]["/shares/{share_id}"]
            assert MEDIA_TYPE in one["get"]["responses"]["200"]["content"]
            assert {"204", "401", "403", "404"} <= one["delete"]["responses"].keys()
            assert "/s/{share_id}" not in said["paths"]
            assert json.dumps(said)

    run(main())


def test_a_script_of_an_allowed_site_may_delete(client: Client, sharing: dict[str, Any]) -> None:
    async def main() -> None:
        async with client(**sharing, cors_origins="https://a.example") as http:
            asked = {
                "origin": "https://a.example",
                "access-control-request-method": "DELETE",
                "access-control-request-headers": "authorization",
            }
            preflight = await http.options("/shares/" + "x" * 22, headers=asked)
            assert preflight.status_code == 200
            assert "DELETE" in preflight.headers["access-control-allow-methods"]

    run(main())


def test_an_address_of_no_use_stops_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENEBRUSH_SHARING", "true")
    monkeypatch.setenv("SCENEBRUSH_DATABASE_URL", "nosuch://me:hunter2@host/name")
    monkeypatch.setattr(commands, "open_library", lambda settings: FakeLibrary())
    monkeypatch.setattr(commands.logs, "configure", lambda *_: None)  # it would log to what the runner closes
    result = CliRunner().invoke(cli.app, ["serve", "--port", "0"])
    assert result.exit_code == 1
    assert "SCENEBRUSH_DATABASE_URL is no address" in result.stderr
    assert "hunter2" not in result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
