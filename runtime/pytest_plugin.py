"""Give pytest the fixtures `roost_drain`, `roost_inline` and `roost_clock`, and the marker `roost_inline`.

See `runtime.testing`.

Loaded by pytest through the entry point, before Django is set up: nothing of Roost is imported at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.testing import Clock


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    told = "roost_inline(**options): run what becomes due in this test at once; see runtime.testing.inline"
    config.addinivalue_line("markers", told)


@pytest.fixture(autouse=True)
def _roost_marked(request: pytest.FixtureRequest) -> None:
    """Give a test that is marked what it asks for."""
    if request.node.get_closest_marker("roost_inline") is not None:
        request.getfixturevalue("roost_inline")


@pytest.fixture
def roost_inline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run what becomes due in the test at once, by `runtime.testing.inline`; options are those of the marker."""
    from runtime.testing import inline

    marker = request.node.get_closest_marker("roost_inline")
    with inline(**({} if marker is None else marker.kwargs)):
        yield


@pytest.fixture
def roost_drain() -> Callable[..., int]:
    """Return `runtime.testing.drain`, which runs what is due inside the test."""
    from runtime.testing import drain

    return drain


@pytest.fixture
def roost_clock() -> Iterator[Clock]:
    """Give a clock whose `advance(seconds)` holds until the end of the test."""
    from runtime.testing import Clock

    moved = Clock()
    yield moved
    moved.close()
