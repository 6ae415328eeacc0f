"""Whole runs: how they differ, version by version."""

from __future__ import annotations

import uuid
from typing import Any

from ninja import Schema


class ChangeOut(Schema):
    """One place that differs: added, removed or changed; `path` is a JSON Pointer, empty for the whole state.

    `before` is null for what was added, `after` for what was removed; both are where `left_out` says that a value is
    too large to be told here. `/value/state` gives states whole.
    """

    kind: str
    path: str
    before: Any = None
    after: Any = None
    left_out: bool


class StateEnd(Schema):
    """A state that is compared."""

    item: uuid.UUID
    version: int
    label: str


class StateDiff(Schema):
    """What changed from one state to another; `more` says that there are differences that are not told, or masked."""

    before: StateEnd
    after: StateEnd
    same: bool
    changes: list[ChangeOut]
    more: bool


class RunSide(Schema):
    """One run at one version: its step's label, its seconds where they are known, and tries in vain before it."""

    version: int
    label: str
    duration: float | None
    retries: int


class VersionDiff(Schema):
    """Two runs at one place; a side is null where that run has no state, and then `changes` and `more` are too."""

    left: RunSide | None
    right: RunSide | None
    same: bool
    changes: list[ChangeOut] | None
    more: bool | None


class RunDiff(Schema):
    """Two runs side by side; `shift` is added to a version on the left for its partner on the right.

    `diverged` is the first version on the left, among these, at which they are not the same.
    """

    left: uuid.UUID
    right: uuid.UUID
    shift: int
    diverged: int | None
    versions: list[VersionDiff]
    next: str | None
