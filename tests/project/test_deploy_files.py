"""docs/deploy.md and its files fit the server: settings, commands, paths, ports, sizes and times."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fastapi.testclient import TestClient
from pydantic import ValidationError

from server import cli
from server.app import create_app
from server.serving import make_server
from server.settings import Settings
from server.version import scenebrush_version
from tests.project.test_docs import blocks, shell_lines
from tests.project.test_repository import dockerfile
from tests.server.fake_engine import FakeLibrary

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "deploy.md"
NGINX = ROOT / "deploy" / "proxy" / "nginx.conf"
CADDY = ROOT / "deploy" / "proxy" / "Caddyfile"
UNIT = ROOT / "deploy" / "systemd" / "scenebrush.service"
MANIFEST = ROOT / "deploy" / "kubernetes" / "scenebrush.yaml"
ALL = (PAGE, NGINX, CADDY, UNIT, MANIFEST)
DEFAULTS = Settings.model_construct()  # whatever this machine's environment says
SUB_PATH = {NGINX: ("location / {", "location /paint/ {"), CADDY: ("handle /* {", "handle /paint/* {")}
UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "mib": 1024**2, "gi": 1024**3}
SECONDS = {"s": 1, "m": 60, "h": 3600, "": 1}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def size(text: str) -> int:
    """16m, 8G, 16MiB → bytes."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", text).groups()
    return int(number) * UNITS[unit.lower()]


def seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smh]?)", text).groups()
    return int(number) * SECONDS[unit]


def directive(path: Path, name: str) -> str:
    """The value of a directive that stands in a proxy's file once, or each time with the same value."""
    values = set(re.findall(rf"^\s*{re.escape(name)}\s+([^;\n]+?);?(?:\s*#.*)?$", read(path), re.MULTILINE))
    assert len(values) == 1, f"{named(path)}: {name} is {sorted(values)}"
    return values.pop()


def unit() -> dict[str, list[str]]:
    """The keys of the systemd unit, each with all its values."""
    keys: dict[str, list[str]] = {}
    for line in read(UNIT).splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    return keys


def unit_environment() -> dict[str, str]:
    words = [word for line in unit()["Environment"] for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [one for one in yaml.safe_load_all(read(MANIFEST)) if one["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    return manifest("Deployment")["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return only


def container_settings() -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container()["env"]}


def image_environment() -> dict[str, str]:
    (line,) = [rest for keyword, rest in dockerfile() if keyword == "ENV" and "SCENEBRUSH_PORT" in rest]
    return dict(word.split("=", 1) for word in shlex.split(line))


# -- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    # SCENEBRUSH_…, with an ellipsis, stands for them all.
    mentioned = {name.lower() for name in re.findall(r"SCENEBRUSH_([A-Z][A-Z_]*)", read(path))}
    assert mentioned, f"{named(path)} names no setting"
    unknown = mentioned - set(Settings.model_fields)
    assert not unknown, f"{named(path)} names {sorted(unknown)}; there are no such settings"


def recipes() -> list[dict[str, str]]:
    """The page's blocks of nothing but settings, by name."""
    found = [block.split() for block in blocks(PAGE, "sh")]
    pure = [block for block in found if all(re.match(r"SCENEBRUSH_[A-Z_]+=", word) for word in block)]
    return [dict(word.split("=", 1) for word in block) for block in pure]


def test_recipes_are_settings_that_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [*recipes(), container_settings(), unit_environment()]
    assert len(found) >= 6
    for recipe in found:
        with monkeypatch.context() as patch:
            for name, value in recipe.items():
                patch.setenv(name, value)
            Settings()


def test_a_class_has_seats_and_shares_for_all_of_it() -> None:
    (recipe,) = [recipe for recipe in recipes() if "SCENEBRUSH_CLIENT_BURST" in recipe]
    assert DEFAULTS.max_painters > 30
    assert int(recipe["SCENEBRUSH_CLIENT_SOCKETS"]) >= DEFAULTS.max_painters
    assert int(directive(NGINX, "limit_conn").split()[1]) >= int(recipe["SCENEBRUSH_CLIENT_SOCKETS"])


def test_every_command_that_is_shown_exists() -> None:
    shown = re.compile(r"(?:^|=\S+ |/bin/|-- |exec scenebrush )scenebrush ([a-z].*)")
    lines = [line for path in (PAGE, UNIT) for line in (shell_lines(path) or read(path).splitlines())]
    calls = [match[1].split() for line in lines if (match := shown.search(line))]
    assert len(calls) >= 6
    for call in calls:
        _resolve(typer.main.get_command(cli.app), call)


def _resolve(command: Any, words: list[str]) -> None:
    """Follow the words down to a command, whose options must be all that are given."""
    while hasattr(command, "commands"):
        assert words, f"{command.name} wants a command"
        assert words[0] in command.commands, f"there is no scenebrush … {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    unknown = {word for word in words if word.startswith("--")} - known
    assert not unknown, f"scenebrush {command.name} has no {sorted(unknown)}"


def test_every_file_that_is_shown_exists() -> None:
    text = read(PAGE)
    shown = set(re.findall(r"\b(?:deploy|examples|tests)/[\w./-]+", text))
    assert {named(path) for path in ALL if path != PAGE} <= shown
    missing = [name for name in sorted(shown) if not (ROOT / name).exists()]
    assert not missing, f"docs/deploy.md shows {missing}"


# -- ports, paths, sizes ------------------------------------------------------------------------------------


def test_one_port_everywhere() -> None:
    port = str(DEFAULTS.port)
    assert re.findall(r"^\s*server (\S+:\d+);", read(NGINX), re.MULTILINE) == [f"127.0.0.1:{port}"]
    assert directive(CADDY, "reverse_proxy") == f"127.0.0.1:{port} {{"
    assert image_environment()["SCENEBRUSH_PORT"] == port
    assert [str(one["containerPort"]) for one in container()["ports"]] == [port]
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", read(PAGE))) == {port}
    assert re.findall(r"-p 127\.0\.0\.1:\d+:(\d+)", read(PAGE)) == [port]


def test_the_sub_path_is_one_line_of_each_proxy() -> None:
    for path, (at_root, below) in SUB_PATH.items():
        assert read(path).count(at_root) == 1, f"{named(path)} has no line {at_root!r} to change"
        assert f"`{at_root}`" in read(PAGE)
        assert f"`{below}`" in read(PAGE)


def test_bodies_that_the_server_takes_pass_the_proxies() -> None:
    annotations = manifest("Ingress")["metadata"]["annotations"]
    most = [
        directive(NGINX, "client_max_body_size"),
        directive(CADDY, "max_size"),
        annotations["nginx.ingress.kubernetes.io/proxy-body-size"],
    ]
    assert [size(one) for one in most] == [DEFAULTS.max_body_bytes] * 3
    assert f"({DEFAULTS.max_body_bytes >> 20} MiB)" in read(PAGE)


def test_the_pages_files_are_not_counted_as_requests() -> None:
    pattern = re.search(r"^\s*~(\S+)\s+\"\";", read(NGINX), re.MULTILINE)
    assert pattern
    for path in ("/assets/0123/js/main.js", "/paint/assets/0123/js/main.js"):
        assert re.search(pattern[1], path)
    for path in ("/", "/live", "/paint/live", "/generate", "/a/b/assets/x"):
        assert not re.search(pattern[1], path)


def test_nginx_keeps_the_pages_files_and_nothing_else() -> None:
    for name in ("proxy_no_cache", "proxy_cache_bypass"):
        assert directive(NGINX, name) == "$scenebrush_counted", "what is counted is somebody's own"
    assert directive(NGINX, "limit_req_zone").split()[0] == "$scenebrush_counted"
    with TestClient(create_app(DEFAULTS, FakeLibrary())) as http:
        page = http.get("/", headers={"host": "localhost"})
        asset = re.search(r"/assets/[^\"]+", page.text)
        assert asset
        kept = http.get(asset[0], headers={"host": "localhost"}).headers["cache-control"]
        assert kept.startswith("public, max-age=")
        assert http.get("/models", headers={"host": "localhost"}).headers["cache-control"] == "no-store"


def test_metrics_stay_on_this_machine() -> None:
    pattern = re.search(r"location ~ (\S+) \{\s*return 404;", read(NGINX))
    assert pattern
    assert re.search(pattern[1], "/metrics")
    assert re.search(pattern[1], "/paint/metrics")
    assert not re.search(pattern[1], "/generate")
    assert "@metrics path /metrics /*/metrics" in read(CADDY)
    assert directive(CADDY, "respond") == "@metrics 404"


def test_what_a_client_says_of_itself_is_not_passed_on() -> None:
    headers = dict(re.findall(r"proxy_set_header (\S+) (\S+);", read(NGINX)))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$scheme"
    assert headers["Host"] == "$http_host", "$host loses the port, and Origin has it"
    assert "trusted_proxies" not in read(CADDY), "Caddy sets X-Forwarded-For anew unless told to trust"


def test_the_unit_writes_where_it_may() -> None:
    keys, environment = unit(), unit_environment()
    state, cache = f"/var/lib/{keys['StateDirectory'][0]}", f"/var/cache/{keys['CacheDirectory'][0]}"
    assert environment["SCENEBRUSH_DATA_DIR"] == state
    # The folder of DynamicUser is a link, and the kernels' own must be none: it lies inside.
    assert environment["XDG_CACHE_HOME"] == cache
    assert environment["TRITON_CACHE_DIR"].startswith(f"{cache}/")
    assert image_environment()["SCENEBRUSH_DATA_DIR"] == state
    assert f"-E SCENEBRUSH_DATA_DIR={state}" in read(PAGE)
    assert f"{state}/shares.sqlite3" in read(PAGE)


def test_memory_and_files_suffice_for_the_defaults() -> None:
    tables = max(DEFAULTS.cache_mb, DEFAULTS.max_painters * DEFAULTS.painter_cache_mb)
    held = (DEFAULTS.max_painters * DEFAULTS.session_mb + tables) * 1024**2
    process = 2 * 1024**3  # torch, the built-in model, photos that are edited
    bounds = [
        unit()["MemoryMax"][0],
        container()["resources"]["limits"]["memory"],
        re.findall(r"--memory (\S+)", read(PAGE))[0],
    ]
    assert all(size(bound) >= held + process for bound in bounds)
    files = [unit()["LimitNOFILE"][0], re.findall(r"nofile=(\d+)", read(PAGE))[0]]
    assert all(int(number) >= 2 * DEFAULTS.max_connections for number in files)


# -- times --------------------------------------------------------------------------------------------------


def test_a_stop_leaves_time_to_drain() -> None:
    (docker,) = re.findall(r"--stop-timeout (\d+)", read(PAGE))
    patience = [unit()["TimeoutStopSec"][0], str(pod()["terminationGracePeriodSeconds"]), docker]
    # uvicorn waits at least a second for requests after the painters have left; then threads are joined.
    assert all(seconds(one) >= DEFAULTS.drain_timeout + 10 for one in patience)


def test_proxies_outwait_the_server_and_drop_idle_lines_first() -> None:
    config = make_server(create_app(DEFAULTS, FakeLibrary()), DEFAULTS).config
    assert config.ws_ping_interval is not None
    assert config.ws_ping_timeout is not None
    longest = max(DEFAULTS.request_timeout, config.ws_ping_interval + config.ws_ping_timeout)
    annotations = manifest("Ingress")["metadata"]["annotations"]
    waits = [
        directive(NGINX, "proxy_read_timeout"),
        directive(NGINX, "proxy_send_timeout"),
        directive(CADDY, "response_header_timeout"),
        annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"],
        annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"],
    ]
    assert all(seconds(wait) > longest for wait in waits), f"of {waits} each must be longer than {longest} s"
    keep = [directive(NGINX, "keepalive_timeout"), directive(CADDY, "keepalive")]
    assert all(seconds(one) < config.timeout_keep_alive for one in keep)
    assert f"each of them every {config.ws_ping_interval:g} s" in read(PAGE)
    assert f"({DEFAULTS.request_timeout:g} s)" in read(PAGE)


# -- Kubernetes ---------------------------------------------------------------------------------------------


def test_probes_ask_for_what_there_is_under_a_name_that_is_answered() -> None:
    schema = create_app(DEFAULTS, FakeLibrary()).openapi()["paths"]
    settings = Settings.model_validate(
        {"host": "0.0.0.0", "allowed_hosts": container_settings()["SCENEBRUSH_ALLOWED_HOSTS"]}
    )
    probes = {kind: container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    ports = {port["name"] for port in container()["ports"]}
    for probe in probes.values():
        assert probe["path"] in schema
        assert probe["port"] in ports
        (header,) = probe["httpHeaders"]
        assert header["name"] == "Host"
        assert header["value"] in settings.hosts


def test_a_service_of_our_name_sets_no_setting_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    name = manifest("Service")["metadata"]["name"]
    monkeypatch.setenv(f"{name.upper()}_PORT", "tcp://10.0.0.1:80")
    with pytest.raises(ValidationError):  # this is what would happen
        Settings()
    assert pod()["enableServiceLinks"] is False


def test_the_pod_runs_as_the_image_does() -> None:
    user = int(dict(dockerfile())["USER"].partition(":")[0])
    assert pod()["securityContext"]["runAsUser"] == user
    assert pod()["securityContext"]["fsGroup"] == user
    environment = image_environment() | container_settings()
    mounts = {mount["mountPath"] for mount in container()["volumeMounts"]}
    # The root is read-only; and an emptyDir is root's, so that the kernels' folder lies inside.
    assert mounts == {environment["SCENEBRUSH_DATA_DIR"], environment["XDG_CACHE_HOME"]}
    assert environment["TRITON_CACHE_DIR"].startswith(f"{environment['XDG_CACHE_HOME']}/")
    assert container()["image"].endswith(f":{scenebrush_version()}")
    assert f"scenebrush:{scenebrush_version()}" in read(PAGE)


def test_services_and_ingress_lead_to_the_pod() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    (rule,) = manifest("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    assert service["name"] == manifest("Service")["metadata"]["name"]
    assert service["port"]["name"] in {port["name"] for port in manifest("Service")["spec"]["ports"]}
    assert rule["host"] == container_settings()["SCENEBRUSH_ALLOWED_HOSTS"]


def test_the_unit_starts_again_what_the_watchdog_ended() -> None:
    keys = unit()
    assert keys["Restart"] == ["on-failure"]  # every status but 0, and signals but SIGTERM and its like
    assert not {"RestartPreventExitStatus", "SuccessExitStatus"} & set(keys)
    assert keys["StartLimitIntervalSec"] == ["0"]
