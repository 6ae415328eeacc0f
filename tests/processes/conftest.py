"""Workers for tests of whole processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes.fleet import Fleet

StartFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(transactional_db: None, tmp_path: Path) -> Iterator[StartFleet]:
    """Return what makes a fleet on the test's database; everything it started ends with the test."""
    made: list[Fleet] = []

    def make(**roost_settings: float) -> Fleet:
        made.append(Fleet(tmp_path, forked=True, **roost_settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()
