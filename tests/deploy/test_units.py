"""The systemd units: they start what exists, as a user of their own, and stop as slowly as work needs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from runtime.conf import Settings
from tests.deploy.files import (
    DEPLOY,
    POOL,
    PORT,
    WORKER_STOP_SECONDS,
    assigned,
    environment_names,
    example,
    option,
    seconds,
    told,
    unit,
)
from tests.programs import program

UNITS = ("roost-web.service", "roost-worker.service")
HARDENED = {
    *(
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "ProtectKernelTunables",
        "ProtectKernelModules",
    ),
    *("ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "RestrictNamespaces"),
    *("RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "RemoveIPC"),
}


def command(name: str) -> list[str]:
    """Return the one command of a unit."""
    [line] = unit(name)["ExecStart"]
    return shlex.split(line)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_as_a_user_of_its_own_who_may_write_its_state_alone(name: str) -> None:
    found = unit(name)
    assert (found["User"], found["Group"]) == (["roost"], ["roost"])
    assert {key for key in HARDENED if found.get(key) != ["yes"]} == set()
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    given = assigned(found["Environment"])
    places = {f"/var/lib/{place}" for place in found["StateDirectory"][0].split()}
    assert {given["ROOST_ARTIFACTS_DIR"], given["ROOST_WORKSPACES_ROOT"]} <= places


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_configured_by_what_the_product_reads(name: str) -> None:
    given = assigned(unit(name)["Environment"])
    assert {key for key in given if key.startswith("ROOST_")} <= environment_names()
    assert given["ROOST_DEPLOYED"] == "1"
    # A file that is missing must not start a checkout's server.
    assert unit(name)["EnvironmentFile"] == ["/etc/roost/roost.env"]


def test_the_web_unit_serves_what_the_image_serves_on_this_machine_alone() -> None:
    words = command("roost-web.service")
    image = shlex.split(told("CMD")[-1].strip("[]").replace(",", " "))
    assert words[1:] == [*image[1 : image.index("0.0.0.0")], "127.0.0.1", *image[image.index("0.0.0.0") + 1 :]]  # noqa: S104
    assert option(words, "--port") == str(PORT)


def test_the_web_unit_alone_has_a_pool() -> None:
    assert assigned(unit("roost-web.service")["Environment"])["ROOST_DATABASE_POOL"] == POOL
    assert "ROOST_DATABASE_POOL" not in assigned(unit("roost-worker.service")["Environment"])
    # Both read the example, after what they say themselves.
    assert "ROOST_DATABASE_POOL" not in example()
    assert "pool=" not in example()["ROOST_DATABASE_URL"]


def test_the_worker_unit_starts_the_worker() -> None:
    assert command("roost-worker.service")[1:] == ["manage.py", "runworker"]
    assert "runworker" in get_commands()


def test_a_worker_is_told_once_and_has_time_to_give_back_what_it_holds() -> None:
    found = unit("roost-worker.service")
    assert found["KillMode"] == ["mixed"]
    assert seconds(found["TimeoutStopSec"][0]) >= WORKER_STOP_SECONDS
    assert found["Restart"] == ["always"]
    # One that hides other users' processes would keep workers from seeing that others live.
    assert found["ProtectProc"] == ["default"]


def test_the_web_has_time_for_requests_that_are_under_way() -> None:
    patience = seconds(option(command("roost-web.service"), "--timeout-graceful-shutdown"))
    assert Settings.API_WAIT_SECONDS < patience < seconds(unit("roost-web.service")["TimeoutStopSec"][0])


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for name in UNITS:
        # What they start is not installed here; everything else is as it is.
        text = (DEPLOY / "systemd" / name).read_text().replace("/opt/roost/venv/bin/python", sys.executable)
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run([analyze, "verify", *files], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_unit_is_the_others_but_for_what_it_starts() -> None:
    def common(name: str) -> str:
        text = (DEPLOY / "systemd" / name).read_text()
        return re.sub(r"^#.*\n|^Description=.*\n|ExecStart=.*?(?=\nRestart=)", "", text, flags=re.MULTILINE | re.DOTALL)

    assert common(UNITS[0]) == common(UNITS[1])
