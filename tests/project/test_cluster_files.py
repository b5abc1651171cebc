"""The files for clusters: Ray's own schema takes them, they agree with each other and with the settings, and
only those parts of the server that are asked for Ray import it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import Settings

ROOT = Path(__file__).parents[2]
SERVE = ROOT / "deploy" / "ray" / "serve.yaml"
KUBERNETES = ROOT / "deploy" / "kubernetes"
# Fields of KubeRay's types of 1.5.1 that we use; its custom resource's schema is not at hand.
RAY_CLUSTER = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
RAY_GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}

RAY_TAKES = """
import sys, yaml
from ray.serve.schema import ServeDeploySchema
from ray.serve import Application
from server.cluster.deployments import application
from server.errors import Problem
for text in sys.stdin.read().split("%%%"):
    schema = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (app,) = schema.applications
    assert app.import_path == f"{application.__module__}:{application.__name__}", app.import_path
    assert isinstance(application(app.args), Application)
    print("taken", app.name, schema.http_options.port)
try:
    application({"sharing": True, "ray_ingresses": 2})
except Problem as problem:
    print("refused", problem.next_step)
"""


def load(path: Path) -> dict[str, Any]:
    (document,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    return load(KUBERNETES / "rayservice.yaml")


def test_ray_takes_both_configurations_and_the_application_is_built(service: dict[str, Any]) -> None:
    texts = SERVE.read_text(encoding="utf-8"), service["spec"]["serveConfigV2"]
    run = subprocess.run(
        [sys.executable, "-c", RAY_TAKES],
        input="%%%".join(texts),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    *taken, refused = run.stdout.splitlines()
    assert taken == ["taken scenebrush 8000"] * 2
    assert "SCENEBRUSH_DATABASE_URL" in refused, "several ingresses, each with a database of its own"


def test_one_configuration_for_both(service: dict[str, Any]) -> None:
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == load(SERVE)


def test_every_argument_is_a_setting() -> None:
    (app,) = load(SERVE)["applications"]
    assert set(app["args"]) <= set(Settings.model_fields)
    settings = Settings.model_validate(app["args"])
    assert settings.hosts[0] == "paint.example"


def test_the_service_s_fields_are_kuberay_s(service: dict[str, Any]) -> None:
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    assert set(service["spec"]) == {"serveConfigV2", "rayClusterConfig"}
    cluster = service["spec"]["rayClusterConfig"]
    assert set(cluster) <= RAY_CLUSTER
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert set(group) <= RAY_GROUP
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_cluster_has_room_for_every_replica(service: dict[str, Any]) -> None:
    (app,) = load(SERVE)["applications"]
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    cores = int(container["resources"]["requests"]["cpu"])
    assert workers["minReplicas"] * cores >= app["args"]["ray_replicas"] * app["args"]["ray_cpus"]
    assert workers["maxReplicas"] * cores >= app["args"]["ray_max_replicas"] * app["args"]["ray_cpus"]
    assert app["args"]["threads"] <= app["args"]["ray_cpus"]


def test_the_manifest_names_the_ray_that_is_tested(service: dict[str, Any]) -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ray==(\S+)$", constraints, re.MULTILINE)
    assert service["spec"]["rayClusterConfig"]["rayVersion"] == version


def test_pods_run_as_nobody_and_keep_strangers_out(service: dict[str, Any]) -> None:
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["image"].startswith("scenebrush:")
    policy = load(KUBERNETES / "networkpolicy.yaml")["spec"]
    (ours,) = {
        tuple(group["template"]["metadata"]["labels"].items())
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    }
    assert tuple(policy["podSelector"]["matchLabels"].items()) == ours
    strangers = [rule for rule in policy["ingress"] if "ports" in rule]
    assert [port["port"] for rule in strangers for port in rule["ports"]] == [8000]


def test_nothing_of_ray_is_imported_unasked() -> None:
    asked = "import sys, server.commands, server.app; assert 'ray' not in sys.modules; print('none')"
    run = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout == "none\n", run.stderr
