"""A verb for all items that match: what is said with it, and what is told before and after."""

from __future__ import annotations

import uuid

from ninja import Schema

from console.api.schemas.kinds import Asked, Flag, example
from console.api.schemas.verbs import Explained, PauseIn, PriorityIn, Reasoned, RedriveIn, ResumeIn


class Many(Asked):
    """Which items, the address says; without a filter there, `all`. `dry_run` only counts what would happen."""

    all: Flag = False
    dry_run: Flag = False


class ManyIn(Many, Reasoned):
    """Why, and whether it is only tried."""

    model_config = example(reason="a flood", dry_run=True)


class ManyExplained(Many, Explained):
    """Why, which has to be said."""


class ManyRedriveIn(Many, RedriveIn):
    """From which of their states, and how many steps they may make."""


class ManyPauseIn(Many, PauseIn):
    """Whether running steps are thrown away; else they end first."""


class ManyResumeIn(Many, ResumeIn):
    """After how many more steps they pause again."""


class ManyPriorityIn(Many, PriorityIn):
    """Higher is sooner."""


class ManyStarted(Schema):
    """The items that do it, which tell how far they are; `more` says that others match too: ask again."""

    items: list[uuid.UUID]
    count: int
    more: bool


class ManySkipped(Schema):
    """How many would be skipped, and why the newest of them would be."""

    count: int
    why: str
    item: uuid.UUID | None


class ManyNeeded(Schema):
    """How many of the eligible ones change only if this is said too."""

    count: int
    field: str


class ManyPreview(Schema):
    """How many match, how many would change, and what would be skipped; null for what takes too long to be counted."""

    count: int | None
    eligible: int | None
    needed: list[ManyNeeded]
    skipped: list[ManySkipped]
    more: bool | None
