"""Every scenario, at every fault point that it passes, with every fault."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.crash.scenarios", "tests.crash.moves")
