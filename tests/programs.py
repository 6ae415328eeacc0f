"""Programs that tests start and Python does not bring: where one is missing its tests are skipped, and say so.

With ROOST_TEST_PROGRAMS they fail instead, so that a run for which everything was installed passes for no less.
"""

from __future__ import annotations

import os
import shutil

import pytest

NEEDED = "ROOST_TEST_PROGRAMS"
PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "nginx": "nginx",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}
"""Each program's package on Debian."""


def find(name: str) -> str | None:
    """Return where a program is, None where it is not; servers may be where only root looks for them."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def program(name: str) -> str:
    """Return where a program is; where it is not, skip the test, or fail it if ROOST_TEST_PROGRAMS says so."""
    found = find(name)
    if found is None:
        missing = f"there is no {name}: apt-get install --no-install-recommends {PACKAGES[name]}"
        assert not os.environ.get(NEEDED), missing
        pytest.skip(missing)
    return found
