"""The compose file: its services run what exists, reach one another, and stop as slowly as work needs."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from django.core.management import get_commands

from runtime.conf import Settings
from tests.deploy.files import (
    DEPLOY,
    MAX_CONNECTIONS,
    POOL,
    PORT,
    SIZES,
    WEB_CONNECTIONS,
    WORKER_CONNECTIONS,
    WORKER_STOP_SECONDS,
    compose,
    environment_names,
    example,
    option,
    seconds,
    told,
)
from tests.deploy.schemas import faults

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "roost"}


MISTAKES: dict[str, tuple[list[str], Any]] = {
    "a misspelt key": (["services", "web", "read-only"], True),
    "a key that no file has": (["service"], {}),
    "a misspelt key of a check": (["services", "postgres", "healthcheck", "retry"], 3),
    "a word for a number": (["services", "postgres", "healthcheck", "retries"], "twelve"),
    "a time without its unit": (["services", "web", "stop_grace_period"], 45),
    "a program that is no list of words": (["services", "redis", "command"], ["redis-server", "--port", 6379]),
    "a check that is neither run nor told to a shell": (
        ["services", "postgres", "healthcheck", "test"],
        ["pg_isready"],
    ),
    "a condition that there is not": (["services", "web", "depends_on", "migrate", "condition"], "service_completed"),
    "a dependency without a condition": (["services", "web", "depends_on", "migrate"], {}),
    "a restart that YAML reads as no": (["services", "migrate", "restart"], False),
    "a switch that is a word": (["services", "web", "init"], "yes"),
    "a port without its place": (["services", "web", "ports"], [8000]),
    "a volume that is a list": (["volumes"], ["roost"]),
    "a mount without a place": (["services", "web", "volumes"], ["roost"]),
    "a secret from nowhere": (["secrets", "postgres"], {}),
    "a limit in another's words": (["services", "worker", "deploy"], {"resources": {"limits": {"mem": "1g"}}}),
    "a size of no unit": (["services", "postgres", "shm_size"], "256 megabytes"),
    "a place in memory with an option of none": (["services", "web", "tmpfs"], ["/run:bytes=1g"]),
    "a value that is a list": (["services", "web", "environment", "ROOST_DATABASE_POOL"], [8]),
    "a capability that is none": (["services", "redis", "cap_drop"], ["all"]),
}


def test_the_file_is_one_after_the_specification() -> None:
    assert faults("compose", compose()) == []
    assert set(compose()) <= {"name", "x-roost", "services", "secrets", "volumes"}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_is_seen(mistake: str) -> None:
    (*way, last), value = MISTAKES[mistake]
    document = deepcopy(compose())
    place = document
    for key in way:
        place = place[key]
    place[last] = value
    [found, *_more] = faults("compose", document)
    assert found.startswith(".".join(["$", *way[:2]]))


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


def test_the_database_is_called_well_when_it_answers_other_machines() -> None:
    # The server that the image makes the database with listens on its socket alone, and goes away again.
    assert option(SERVICES["postgres"]["healthcheck"]["test"], "--host") == "127.0.0.1"


def test_redis_need_not_become_somebody_else() -> None:
    redis = SERVICES["redis"]
    assert (redis["user"], redis["cap_drop"]) == ("redis", ["ALL"])


def test_what_is_in_memory_is_bounded_and_has_room_for_uploads() -> None:
    for name, service in SERVICES.items():
        for place in service.get("tmpfs", ()):
            [(number, unit)] = re.findall(r":.*\bsize=(\d+)([kmg])\b", place)
            assert int(number) * SIZES[unit] > 8 * Settings.API_MAX_UPLOAD_BYTES, name


def test_the_web_alone_has_a_pool_and_all_that_connect_have_room() -> None:
    pools = {name: service["environment"].get("ROOST_DATABASE_POOL") for name, service in OURS.items()}
    assert (pools.pop("web"), set(pools.values())) == (POOL, {None})
    assert all("pool=" not in service["environment"]["ROOST_DATABASE_URL"] for service in OURS.values())
    web = int(option(json.loads(told("CMD")[-1]), "--workers")) * WEB_CONNECTIONS
    workers = int(example()["ROOST_WORKER_PROCESSES"]) * WORKER_CONNECTIONS
    # Old and new may run side by side, and somebody wants to look.
    assert 2 * (web + workers) < MAX_CONNECTIONS - 20
