"""Say which code this process runs."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import django

from runtime.conf import settings as roost

DISTRIBUTION = "roost-django"


def versions() -> dict[str, str]:
    """Return the versions by name: "release" if `ROOST_RELEASE` says one, "roost", "django", "python".

    "roost" is left out where the package is not installed but only found in a folder.
    """
    try:
        ours = {"roost": version(DISTRIBUTION)}
    except PackageNotFoundError:
        ours = {}
    release: str = roost.RELEASE
    others = {"django": django.get_version(), "python": platform.python_version()}
    return ({"release": release} if release else {}) | ours | others
