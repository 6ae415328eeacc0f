"""Give pytest the fixtures `roost_drain` and `roost_clock`; see `runtime.testing`.

Loaded by pytest through the entry point, before Django is set up: nothing of Roost is imported at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.testing import Clock


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
