"""A process from the nursery is like one that a shell started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.processes import nursery
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet

pytestmark = pytest.mark.slow


def tell() -> None:
    """Say who this process is and what it reads."""
    from django.conf import settings
    from django.db import connection

    from runtime.conf import settings as roost

    said = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "connected": connection.connection is not None,
        "lease": roost.LEASE_SECONDS,
        "artifacts": settings.STORAGES["roost_artifacts"]["OPTIONS"]["location"],
        "word": os.environ.get("WORD"),
        "home": "HOME" in os.environ,
    }
    sys.stdout.write(json.dumps(said))


def end(code: int) -> None:
    """End with an exit code, as a command does."""
    sys.exit(code)


def wait() -> None:
    """Wait to be killed."""
    import threading

    threading.Event().wait()


def told(workers: Fleet) -> dict[str, Any]:
    workers.log.write_text("")
    assert nursery.start(tell, environment=workers.environment, log=workers.log).wait(20) == 0
    return dict(json.loads(workers.log.read_text()))


def test_it_has_an_id_a_session_an_environment_and_settings_of_its_own(fleet: StartFleet) -> None:
    one, other = fleet(LEASE_SECONDS=33), fleet()
    one.environment |= {"WORD": "go", "ROOST_PROCESS_ARTIFACTS": "/somewhere"}
    del one.environment["HOME"]
    first, second = told(one), told(other)
    assert first["pid"] == first["session"] != second["pid"] == second["session"]
    assert (first["lease"], first["artifacts"], first["word"], first["home"]) == (33, "/somewhere", "go", False)
    assert (second["lease"], second["word"], second["home"]) == (15.0, None, True)
    assert not first["connected"]
    assert os.environ.get("WORD") is None


def test_its_end_is_told_as_that_of_any_process(fleet: StartFleet) -> None:
    environment = fleet().environment
    assert nursery.start(end, 3, environment=environment).wait(20) == 3
    waits = nursery.start(wait, environment=environment)
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(0.05)
    assert waits.poll() is None
    waits.kill()
    assert waits.wait(20) == waits.poll() == waits.returncode == -9
    waits.terminate()


def test_there_is_none_on_another_database(fleet: StartFleet) -> None:
    environment = fleet().environment
    nursery.start(end, 0, environment=environment).wait(20)
    with pytest.raises(AssertionError, match="another database"):
        nursery.start(end, 0, environment={**environment, "ROOST_PROCESS_DATABASE_URL": "sqlite:///elsewhere"})
