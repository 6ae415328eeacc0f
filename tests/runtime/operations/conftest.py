"""What the tests of operations share."""

from __future__ import annotations

from typing import Any

import pytest

HERE = "tests.runtime.operations.sample"


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the sample engines."""
    settings.ROOST_ENGINES = {"echo": f"{HERE}.Echo", "picky": f"{HERE}.Picky", "broken": f"{HERE}.broken"}
