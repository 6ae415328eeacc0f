"""The engine `patch`: edit files of a repository, one edit a step, and leave a patch."""

from __future__ import annotations

from engines.patch.engine import Patch

__all__ = ["Patch"]
