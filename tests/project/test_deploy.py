"""What lies in deploy/ fits the server: dashboards and alerts ask for metrics that there are, the stack is
hardened and names settings that there are; and the tools that read these files accept them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.device import DeviceMemory
from server.app import create_app
from server.metrics import Metrics
from server.settings import Settings
from tests.project.promql import asked
from tests.server.fake_engine import FakeLibrary

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
DASHBOARD = DEPLOY / "grafana" / "scenebrush.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
FOUND_BY_PROMETHEUS = {"up": {"job", "instance"}}
OF_EVERY_METRIC = {"job", "instance"}
PARTS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)"
)


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """The labels of every series that /metrics can show, by its name."""
    library = FakeLibrary(device_memory=DeviceMemory(1, 2))
    metrics: Metrics = create_app(Settings(), library).state.services.metrics
    text = metrics.exposition().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    labels = {name: set(getattr(one, "_labelnames", ())) for one, names in
              metrics.registry._collector_to_names.items() for name in names}  # fmt: skip
    found = dict(FOUND_BY_PROMETHEUS)
    for name, kind in kinds.items():
        shown = {word for line in text.splitlines() if line.startswith(f"{name}{{")
                 for word in re.findall(r'(\w+)="', line)}  # fmt: skip
        for part in PARTS[kind]:
            bucket = {"le"} if part == "_bucket" else set()
            found[name + part] = labels.get(name, set()) | shown | OF_EVERY_METRIC | bucket
    return found


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]


def dashboard_queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    queries += [note["expr"] for note in dashboard["annotations"]["list"] if "expr" in note]
    variables = [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return queries + [re.sub(r"label_values\((.*),\s*(\w+)\)", r"sum by (\2) (\1)", one) for one in variables]


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


@pytest.mark.parametrize("source", ["dashboard", "alerts"])
def test_queries_ask_for_what_there_is(series: dict[str, set[str]], source: str) -> None:
    queries = dashboard_queries() if source == "dashboard" else [rule["expr"] for rule in alerts()]
    assert len(queries) > 10
    for query in queries:
        wanted = asked(query)
        assert wanted.metrics, f"no metric in {query}"
        for name, labels in wanted.metrics.items():
            assert name in series, f"/metrics has no {name}: {query}"
            assert labels <= series[name], f"{name} has no label {labels - series[name]}: {query}"
            assert wanted.grouped <= series[name], f"{name} has no {wanted.grouped - series[name]}: {query}"


@pytest.mark.parametrize(
    ("query", "metrics", "grouped"),
    [
        (
            'sum by (le, a) (rate(x_bucket{b="up{}", c=~"$d"}[5m])) > 0.5',
            {"x_bucket": {"b", "c"}},
            {"le", "a"},
        ),
        ("a_total / on (job) b unless bool c", {"a_total": set(), "b": set(), "c": set()}, {"job"}),
        ('(sum(rate(y{s="500"}[$__rate_interval])) or vector(0)) / 1e-9', {"y": {"s"}}, set()),
    ],
)
def test_queries_are_read_rightly(query: str, metrics: dict[str, set[str]], grouped: set[str]) -> None:
    assert (asked(query).metrics, asked(query).grouped) == (metrics, grouped)


def test_the_dashboard_holds_together() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["id"] is None
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            references = [target["refId"] for target in panel["targets"]]
            assert len(references) == len(set(references))


def test_alerts_say_what_and_what_next() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}


@needs_promtool
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.tokens.yml"])
def test_promtool_accepts_the_configuration(name: str) -> None:
    command = ["promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus" / name]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@needs_promtool
def test_promtool_accepts_the_alerts_and_the_dashboards_queries(tmp_path: Path) -> None:
    """The dashboard's queries as recording rules, their variables filled in."""
    queries = [query.replace("$__rate_interval", "5m") for query in dashboard_queries()]
    rules = [{"record": f"query:{i}", "expr": query} for i, query in enumerate(queries)]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for one in (file, ALERTS):
        checked = subprocess.run(
            ["promtool", "check", "rules", one], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def compose(*names: str) -> dict[str, Any]:
    """The services of some files, each laid over the one before."""
    services: dict[str, Any] = {}
    for name in names:
        for service, fields in yaml.safe_load((COMPOSE / name).read_text(encoding="utf-8"))[
            "services"
        ].items():
            merged = services.setdefault(service, {})
            environment = {**merged.get("environment", {}), **fields.get("environment", {})}
            merged.update(fields, environment=environment)
    return services


@pytest.mark.parametrize("service", ["scenebrush", "prometheus", "grafana"])
def test_every_service_is_confined(service: str) -> None:
    fields = compose("compose.yaml")[service]
    assert fields["read_only"] is True
    assert fields["cap_drop"] == ["ALL"]
    assert fields["security_opt"] == ["no-new-privileges:true"]
    assert fields["healthcheck"]["test"]
    assert fields["mem_limit"]
    assert fields["pids_limit"]
    assert "privileged" not in fields
    assert all(port.startswith("127.0.0.1:") for port in fields.get("ports", ()))
    for mount in fields["volumes"]:
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (COMPOSE / source).exists()
            assert mount.endswith(":ro")


def test_the_stack_names_settings_that_there_are() -> None:
    environment = compose("compose.yaml", "compose.gpu.yaml")["scenebrush"]["environment"]
    names = {name.removeprefix("SCENEBRUSH_").lower() for name in environment}
    assert names <= set(Settings.model_fields)


def test_prometheus_finds_the_server_under_a_name_that_it_answers_to() -> None:
    services = compose("compose.yaml")
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    (scrape,) = yaml.safe_load(text)["scrape_configs"]
    host, _, port = scrape["static_configs"][0]["targets"][0].partition(":")
    allowed = services["scenebrush"]["environment"]["SCENEBRUSH_ALLOWED_HOSTS"].split(",")
    assert host in allowed
    assert services["scenebrush"]["ports"][0].endswith(f":{port}")
    assert set(services["scenebrush"]["networks"]) & set(services["prometheus"]["networks"])


def has_compose() -> bool:
    asked_for = ["docker", "compose", "version"]
    if not shutil.which("docker"):
        return False
    return subprocess.run(asked_for, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
@pytest.mark.parametrize("over", [(), ("compose.gpu.yaml",), ("compose.tokens.yaml",)])
def test_compose_accepts_the_stack(over: tuple[str, ...]) -> None:
    files = [word for name in ("compose.yaml", *over) for word in ("-f", name)]
    checked = subprocess.run(
        ["docker", "compose", *files, "config", "--quiet"],
        cwd=COMPOSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
