"""A world for the crash suite; the whole matrix is played only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.scenario import World
from tests.engines.pages import serving as serving_pages
from tests.processes.fleet import Fleet
from tests.processes.service import serving

QUICK = {
    "HEARTBEAT_SECONDS": 0.25,
    "LEASE_SECONDS": 1.5,
    "SWEEP_SECONDS": 0.2,
    "POLL_SECONDS": 0.1,
    "SQLITE_POLL_SECONDS": 0.05,
    "BACKOFF_BASE": 0.02,
    "BACKOFF_CAP": 0.1,
}
"""Beats and pauses that let a run end soon; nothing here changes what is promised."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the matrix out unless `-m` names it."""
    if "crash" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("crash")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def quick(settings: Any) -> None:
    """Let nobody wait for long."""
    for name, value in QUICK.items():
        setattr(settings, f"ROOST_{name}", value)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Any]:
    """Return what makes a world in which nothing has happened yet."""
    with serving() as service, serving_pages() as site:

        def make() -> World:
            service.requests.clear()
            service.effects.clear()
            return World(service=service.url, page=site.url(), folder=str(tmp_path))

        yield make


@pytest.fixture
def environment(transactional_db: None, tmp_path: Path, settings: Any) -> dict[str, str]:
    """Return the environment of processes on this test's database."""
    return Fleet(tmp_path, **QUICK).environment | {"ROOST_WORKSPACES_ROOT": settings.ROOST_WORKSPACES_ROOT}
