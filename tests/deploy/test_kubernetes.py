"""The manifests: objects that Kubernetes knows, which find one another, and stop as slowly as work needs."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

from runtime.conf import Settings
from tests.deploy.files import (
    DEPLOY,
    MAX_CONNECTIONS,
    POOL,
    PORT,
    WEB_CONNECTIONS,
    WORKER_CONNECTIONS,
    WORKER_STOP_SECONDS,
    environment_names,
    example,
    option,
    told,
)
from tests.deploy.schemas import faults

FOLDER = DEPLOY / "kubernetes"
PAGE = (DEPLOY.parent / "docs" / "how-to" / "deploy.md").read_text()
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    (found["kind"], found["metadata"]["name"]): found
    for path in sorted(FOLDER.glob("*.yaml"))
    for found in yaml.safe_load_all(path.read_text())
}
WEB, WORKER, MIGRATE = ("Deployment", "roost-web"), ("Deployment", "roost-worker"), ("Job", "roost-migrate")
OURS = (WEB, WORKER, MIGRATE)
CONFIG: dict[str, str] = OBJECTS["ConfigMap", "roost"]["data"]
SECRETS: dict[str, str] = OBJECTS["Secret", "roost"]["stringData"]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SHARED = ("ROOST_ALLOWED_HOSTS", "ROOST_TRUST_PROXY", "ROOST_GRACE_SECONDS", "ROOST_WORKER_PROCESSES")

POD = ["spec", "template", "spec"]
MISTAKES: dict[str, tuple[tuple[str, str], list[str | int], Any]] = {
    "a misspelt key": (WEB, [*POD, "terminationGracePeriod"], 45),
    "a number for a word": (("ConfigMap", "roost"), ["data", "ROOST_TRUST_PROXY"], 1),
    "a version of another kind": (MIGRATE, ["apiVersion"], "apps/v1"),
    "a kind that there is not": (MIGRATE, ["kind"], "Jobs"),
    "a job that is begun anew when it is done": (MIGRATE, [*POD, "restartPolicy"], "Always"),
    "a deployment that ends": (WEB, [*POD, "restartPolicy"], "Never"),
    "a container without an image": (WORKER, [*POD, "containers", 0], {"name": "worker"}),
    "a program that is no list": (WORKER, [*POD, "containers", 0, "command"], "python manage.py runworker"),
    "a variable that is a number": (WEB, [*POD, "containers", 0, "env", 0, "value"], 8),
    "a probe of nothing": (WEB, [*POD, "containers", 0, "readinessProbe"], {"periodSeconds": 5}),
    "a probe of a path without its beginning": (
        WEB,
        [*POD, "containers", 0, "readinessProbe", "httpGet", "path"],
        "roost/health/ready",
    ),
    "a size in words": (WEB, [*POD, "containers", 0, "resources", "limits", "memory"], "1 GB"),
    "a volume of nothing": (WORKER, [*POD, "volumes", 1], {"name": "tmp"}),
    "a budget that says both": (("PodDisruptionBudget", "roost-web"), ["spec", "maxUnavailable"], 1),
    "a port that is none": (("Service", "roost-web"), ["spec", "ports", 0, "port"], 0),
    "a strategy with another's numbers": (WEB, ["spec", "strategy", "type"], "Recreate"),
}


def pod(key: tuple[str, str]) -> dict[str, Any]:
    """Return what a pod of it is."""
    found: dict[str, Any] = OBJECTS[key]["spec"]["template"]["spec"]
    return found


def container(key: tuple[str, str]) -> dict[str, Any]:
    """Return its one container."""
    [found] = pod(key)["containers"]
    return dict(found)


def labels(key: tuple[str, str]) -> dict[str, str]:
    """Return the labels of its pods."""
    found: dict[str, str] = OBJECTS[key]["spec"]["template"]["metadata"]["labels"]
    return found


@pytest.mark.parametrize("key", sorted(OBJECTS))
def test_an_object_is_one_after_the_reference(key: tuple[str, str]) -> None:
    assert faults("kubernetes", OBJECTS[key]) == []


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_is_seen(mistake: str) -> None:
    key, (*way, last), value = MISTAKES[mistake]
    document: Any = deepcopy(OBJECTS[key])
    place = document
    for step in way:
        place = place[step]
    place[last] = value
    assert faults("kubernetes", document) != []


@pytest.mark.parametrize("key", OURS)
def test_a_pod_may_do_no_more_than_it_must(key: tuple[str, str]) -> None:
    who = pod(key)["securityContext"]
    [added] = [line for line in told("RUN") if "useradd" in line]
    assert who["runAsNonRoot"] is True
    assert {who["runAsUser"], who["runAsGroup"], who["fsGroup"]} == {int(option(added.split(), "--uid"))}
    assert pod(key)["automountServiceAccountToken"] is False
    assert container(key)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("key", OURS)
def test_what_a_pod_names_is_there(key: tuple[str, str]) -> None:
    volumes = {volume["name"]: volume for volume in pod(key)["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container(key)["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert container(key)["envFrom"] == [{"configMapRef": {"name": "roost"}}]
    assert volumes["secrets"]["secret"]["secretName"] == "roost"
    files = {value for name, value in CONFIG.items() if name.endswith("_FILE")}
    assert files == {f"{mounts['secrets']}/{name}" for name in SECRETS}
    assert mounts["tmp"] == "/tmp"  # noqa: S108
    given = {one["name"] for one in container(key).get("env", ())}
    assert {name.removesuffix("_FILE") for name in {*CONFIG, *given}} <= environment_names()


def test_nothing_secret_is_in_a_file() -> None:
    assert set(SECRETS.values()) == {""}
    assert {"ROOST_SECRET_KEY", "ROOST_DATABASE_URL"}.isdisjoint(CONFIG)


def test_what_is_said_elsewhere_too_is_said_alike() -> None:
    assert {name: CONFIG[name] for name in SHARED} == {name: example()[name] for name in SHARED}
    assert container(WEB)["env"] == [{"name": "ROOST_DATABASE_POOL", "value": POOL}]


def test_what_pods_run_exists() -> None:
    for key in (WORKER, MIGRATE):
        python, manage, name, *_ = [*container(key)["command"], *container(key).get("args", ())]
        assert (python, manage) == ("python", "manage.py")
        assert name in get_commands()
    # The image's own command is the web server.
    assert "command" not in container(WEB)


def test_the_web_is_asked_for_its_health_where_it_tells_it_and_under_its_name() -> None:
    assert container(WEB)["ports"] == [{"name": "http", "containerPort": PORT}]
    asked = {probe: container(WEB)[probe]["httpGet"] for probe in PROBES}
    assert {probe: resolve(one["path"]).view_name for probe, one in asked.items()} == {
        "startupProbe": "roost:live",
        "livenessProbe": "roost:live",
        "readinessProbe": "roost:ready",
    }
    host = [{"name": "Host", "value": CONFIG["ROOST_ALLOWED_HOSTS"].split(",")[0]}]
    assert all((one["port"], one["httpHeaders"]) == ("http", host) for one in asked.values())


def test_the_web_alone_is_called() -> None:
    [service] = [found for (kind, _name), found in OBJECTS.items() if kind == "Service"]
    assert service["spec"]["selector"] == labels(WEB)
    assert service["spec"]["selector"].items() - labels(WORKER).items()
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert not {"ports", *PROBES} & container(WORKER).keys()


@pytest.mark.parametrize("key", [WEB, WORKER])
def test_a_deployment_and_its_budget_mean_its_own_pods_and_leave_one(key: tuple[str, str]) -> None:
    spec, budget = OBJECTS[key]["spec"], OBJECTS["PodDisruptionBudget", key[1]]["spec"]
    assert spec["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels(key)
    assert spec["replicas"] - budget.get("maxUnavailable", spec["replicas"] - budget.get("minAvailable", 0)) >= 1


def test_a_pod_has_time_for_what_is_under_way() -> None:
    assert pod(WORKER)["terminationGracePeriodSeconds"] >= WORKER_STOP_SECONDS
    [_sleep, before] = container(WEB)["lifecycle"]["preStop"]["exec"]["command"]
    patience = int(option(json.loads(told("CMD")[-1]), "--timeout-graceful-shutdown"))
    assert patience > Settings.API_WAIT_SECONDS
    assert int(before) + patience < pod(WEB)["terminationGracePeriodSeconds"]


def connections(key: tuple[str, str]) -> int:
    """Return how many connections a pod of it may have."""
    if key == WEB:
        return int(option(json.loads(told("CMD")[-1]), "--workers")) * WEB_CONNECTIONS
    return int(CONFIG["ROOST_WORKER_PROCESSES"]) * WORKER_CONNECTIONS


def most_pods(key: tuple[str, str]) -> int:
    """Return how many pods of it there are at most in a rollout: beside those that count, what is still ending."""
    spec = OBJECTS[key]["spec"]
    update = spec["strategy"]["rollingUpdate"]
    assert spec["minReadySeconds"] >= pod(key)["terminationGracePeriodSeconds"], "pods end while the next ones go"
    ending = update["maxSurge"] + update["maxUnavailable"]
    return int(spec["replicas"] + update["maxSurge"] + ending)


def test_all_that_connect_have_room() -> None:
    at_rest = {key: OBJECTS[key]["spec"]["replicas"] * connections(key) for key in (WEB, WORKER)}
    # Somebody wants to look.
    assert sum(at_rest.values()) < MAX_CONNECTIONS - 20
    for key, other in ((WEB, WORKER), (WORKER, WEB)):
        # The job and who looks at it have room, too.
        assert most_pods(key) * connections(key) + at_rest[other] <= MAX_CONNECTIONS - 5


@pytest.mark.parametrize("key", [WEB, WORKER])
def test_when_a_rollout_is_through_no_old_pod_runs(key: tuple[str, str]) -> None:
    spec = OBJECTS[key]["spec"]
    # No pod goes after the last new one came, and that one counts only after a time in which the others end.
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] == 0
    assert spec["minReadySeconds"] >= pod(key)["terminationGracePeriodSeconds"]
    assert spec["replicas"] * spec["minReadySeconds"] < 600, "`progressDeadlineSeconds`, unless told otherwise"


def test_the_page_tells_the_connections_of_a_pod_of_each_kind() -> None:
    [counted] = re.findall(r"(\d+) connections a web pod, (\d+) a worker pod", PAGE)
    assert tuple(map(int, counted)) == (connections(WEB), connections(WORKER))


def test_the_page_names_every_file_and_migrates_first() -> None:
    page = PAGE.partition("\n## With Kubernetes\n")[2]
    named = re.findall(r"deploy/kubernetes/([\w.]+\.yaml)", page.partition("\n## ")[0])
    assert set(named) == {path.name for path in FOLDER.glob("*.yaml")}
    applied = re.findall(r"-f deploy/kubernetes/(\w+)\.yaml", page)
    assert applied == ["config", "migrate", "web", "worker", "worker", "web"]
    assert "`roost_due_oldest_seconds`" in page
