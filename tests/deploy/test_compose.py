"""The compose file: its services run what exists, reach one another, and stop as slowly as work needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import get_commands

from runtime.conf import Settings
from tests.deploy.files import DEPLOY, PORT, WORKER_STOP_SECONDS, compose, environment_names, option, seconds, told

# Of the compose specification, what is used here; a key that is not among them is most likely misspelt.
KEYS = {
    *("build", "cap_drop", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "init", "ports"),
    *("profiles", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs"),
    "volumes",
}
CHECK = {"disable", "test", "interval", "timeout", "retries", "start_period"}
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "roost"}


def test_the_file_has_what_compose_knows() -> None:
    assert compose().keys() == {"name", "x-roost", "services", "secrets", "volumes"}
    assert {key for service in SERVICES.values() for key in service} <= KEYS
    assert {key for service in SERVICES.values() for key in service.get("healthcheck", {})} <= CHECK


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_names_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", ())) <= compose()["secrets"].keys()
    assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= compose()["volumes"].keys()
    for needed, how in service.get("depends_on", {}).items():
        other = SERVICES[needed]
        if how["condition"] == "service_healthy":
            assert "test" in other["healthcheck"]
        else:
            assert (how["condition"], other["restart"]) == ("service_completed_successfully", "no")


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_may_do_no_more_than_it_must(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user"} & service.keys()
    assert set(service["environment"]) <= environment_names() | {"ROOST_SECRET_KEY_FILE"}
    assert "secret" not in " ".join(value for key, value in service["environment"].items() if "FILE" not in key)
    [volume] = service["volumes"]
    assert volume.partition(":")[2] in told("VOLUME")[0]


def test_what_services_run_exists() -> None:
    commands = {name: service["command"] for name, service in OURS.items() if "command" in service}
    assert commands.keys() == {"migrate", "worker"}
    assert {tuple(command[:2]) for command in commands.values()} == {("python", "manage.py")}
    assert {command[2] for command in commands.values()} <= get_commands().keys()
    # The image's own check is of the web server.
    assert {name for name, service in OURS.items() if service.get("healthcheck") == {"disable": True}} == set(commands)


def test_the_web_is_reached_from_this_machine_alone_and_the_database_from_no_other() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": [f"127.0.0.1:{PORT}:{PORT}"]
    }


def test_a_worker_has_time_to_give_back_what_it_holds() -> None:
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= WORKER_STOP_SECONDS


def test_the_web_has_time_for_requests_that_are_under_way() -> None:
    patience = seconds(option(json.loads(told("CMD")[-1]), "--timeout-graceful-shutdown"))
    assert Settings.API_WAIT_SECONDS < patience < seconds(SERVICES["web"]["stop_grace_period"])


def test_the_files_that_it_reads_are_there_or_told_of() -> None:
    head = (DEPLOY / "compose.yaml").read_text().partition("\nname:")[0]
    build = compose()["x-roost"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert "cp roost.env.example roost.env" in head
    assert all(name in head for name in compose()["secrets"])
