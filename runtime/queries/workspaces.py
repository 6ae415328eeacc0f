"""List the workspaces on this host, and say which have outstayed their item."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime import clock
from runtime.choices import TERMINAL, State
from runtime.exceptions import Conflict
from runtime.models import WorkItem
from runtime.queries.page import MAX_LIMIT, Page, checked_limit, page_of
from runtime.store import work_database
from runtime.workspaces import places
from runtime.workspaces.places import Place, Record

GONE = "gone"
"""State of an item that is no longer in the database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A workspace and its item's state. `over` says that its policy lets it go."""

    name: str
    place: Place
    record: Record
    state: str
    over: bool


def path_of(item: WorkItem) -> Path:
    """Return the path of an item's workspace. Raises `Conflict` when it has none on this host."""
    path = places.place(item.namespace, item.pk).path
    if not path.is_dir():
        raise Conflict(
            f"Work item {item.pk} is {item.state} and has no workspace on this host: there is no {path}. A step makes "
            f"it when it first asks.",
            state=item.state,
        )
    return path


def kept(*, after: str = "", limit: int = MAX_LIMIT, using: str | None = None) -> Page[Kept]:
    """Return a page of the workspaces of items of this database, in the order of their names."""
    using = using or work_database()
    root, home = places.root(), places.home(using)
    ours = (one for one in places.records(root, after=after) if one[1].home == home)
    page = page_of(ours, checked_limit(limit))
    return Page(rows=tuple(_judged(root, page.rows, using)), more=page.more)


def _judged(root: Path, found: Sequence[tuple[str, Record]], using: str) -> list[Kept]:
    ids = [uuid.UUID(record.item) for _name, record in found]
    rows = WorkItem.objects.using(using).filter(pk__in=ids).values_list("pk", "state", "finished_at", "legal_hold")
    states = {pk: (state, finished_at, on_hold) for pk, state, finished_at, on_hold in rows}
    now = clock.now(using)
    judged = []
    for (name, record), pk in zip(found, ids, strict=True):
        state, finished_at, on_hold = states.get(pk, (GONE, None, False))
        place = Place(root=root, namespace=record.namespace, item=pk)
        over = not on_hold and is_over(record.keep, state, finished_at, now)
        judged.append(Kept(name=name, place=place, record=record, state=state, over=over))
    return judged


def still_over(record: Record, using: str) -> bool:
    """Say, by a fresh look, whether a workspace may go: by its policy, and no legal hold. Its lock is held."""
    rows = WorkItem.objects.using(using).filter(pk=record.item)
    state, finished_at, on_hold = rows.values_list("state", "finished_at", "legal_hold").first() or (GONE, None, False)
    return not on_hold and is_over(record.keep, state, finished_at, clock.now(using))


def is_over(keep: str | float, state: str, finished_at: dt.datetime | None, now: dt.datetime) -> bool:
    """Say whether a policy lets a workspace go, whose item is in that state. Never one of a live item. Pure."""
    if keep == "always" or (state != GONE and state not in TERMINAL):
        return False
    if state == GONE or keep == "until_ended":
        return True
    if isinstance(keep, str):
        return state == State.DONE
    return finished_at is not None and now - finished_at >= dt.timedelta(days=keep)
