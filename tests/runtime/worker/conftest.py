"""What the tests of recorded calls share: their engines, and two ways to run what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.testing import drain
from tests.runtime.worker.calling import STEPS, Calling, work


@pytest.fixture
def calling(settings: Any) -> Iterator[None]:
    """Register the engines that call out."""
    module = "tests.runtime.worker.calling"
    settings.ROOST_ENGINES = {"async": f"{module}.AsyncCalling", "atomic": f"{module}.AtomicCalling"}
    STEPS.clear()
    Calling.called.clear()
    yield
    STEPS.clear()


@pytest.fixture(params=["drain", "worker"])
def run(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Run what is due: in the test itself, and by a worker with its threads."""
    return drain if request.param == "drain" else work
