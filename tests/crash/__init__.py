"""Every scenario, at every fault point that it passes, with every fault."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("scenarios", "moves", "entrances", "upkeep")))
