"""Find items by the code they need: those that are held, and those in flight that other code would not go on with."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable

from runtime import registry
from runtime.choices import LIVE, Reason, State
from runtime.compatibility import objection
from runtime.exceptions import EngineLoadError, UnknownEngine
from runtime.models import Snapshot, WorkItem
from runtime.store import work_database


class HeldItem(NamedTuple):
    """A held item, and the code it needs; `state_schema` is None where it has no state yet."""

    id: uuid.UUID
    engine: str
    engine_version: str
    state_schema: int | None


def page(
    engines: Collection[str],
    *,
    before: dt.datetime | Combinable,
    after: uuid.UUID | None,
    limit: int,
    using: str | None = None,
) -> list[HeldItem]:
    """Return held items of these engines that have been so since `before`, those with an id above `after`."""
    found = waiting(engines, before, after, using=using or work_database())
    return [HeldItem(*row) for row in found[:limit]]


def waiting(
    engines: Collection[str], before: dt.datetime | Combinable, after: uuid.UUID | None, *, using: str
) -> QuerySet[Any, Any]:
    """Return the query behind `page`, for it and for the test of its plan."""
    rows: QuerySet[WorkItem] = WorkItem.objects.using(using)
    found = rows.filter(state=State.PAUSED, reason=Reason.HELD, engine__in=engines, away_since__lte=before)
    if after is not None:
        found = found.filter(pk__gt=after)
    schema = Snapshot.objects.filter(work_item=OuterRef("pk"), version=OuterRef("version")).values("state_schema")
    return found.order_by("pk").values_list("pk", "engine", "engine_version", Subquery(schema))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Items in flight that need the same code. `objection` is empty when the code here goes on with them.

    Otherwise it is unknown_engine, engine_load_error, not_accepted, newer_state or no_upcaster, `text` says it in
    words, and `example` is one of the items. `held` of the `items` are held already.
    """

    engine: str
    engine_version: str
    state_schema: int | None
    items: int
    held: int
    objection: str = ""
    text: str = ""
    example: uuid.UUID | None = None

    @property
    def stranded(self) -> bool:
        """Whether these items would not go on."""
        return bool(self.objection)


def in_flight(*, using: str | None = None) -> list[Fleet]:
    """Return every item that has not ended, in groups that need the same code, each with what the code here says."""
    using = using or work_database()
    return list(_fleets(using))


def _live(using: str) -> Any:
    state = FilteredRelation("snapshots", condition=Q(snapshots__version=F("version")))
    return WorkItem.objects.using(using).filter(state__in=LIVE).annotate(kept=state).order_by()


def _fleets(using: str) -> Iterator[Fleet]:
    held = Count("pk", filter=Q(state=State.PAUSED, reason=Reason.HELD))
    groups = _live(using).values_list("engine", "engine_version", "kept__state_schema")
    counted = groups.annotate(items=Count("pk"), waiting=held)
    for engine, version, schema, items, waiting in counted.order_by("engine", "engine_version", "kept__state_schema"):
        code, text = _verdict(engine, version, schema)
        example = _example(engine, version, schema, using) if code else None
        yield Fleet(
            engine=engine,
            engine_version=version,
            state_schema=schema,
            items=items,
            held=waiting,
            objection=code,
            text=text,
            example=example,
        )


def _verdict(engine: str, version: str, schema: int | None) -> tuple[str, str]:
    try:
        found = objection(registry.get(engine), version, schema)
    except (UnknownEngine, EngineLoadError) as error:
        return error.code, str(error)
    return ("", "") if found is None else (found.code, str(found))


def _example(engine: str, version: str, schema: int | None, using: str) -> uuid.UUID | None:
    like = _live(using).filter(engine=engine, engine_version=version, kept__state_schema=schema)
    found: uuid.UUID | None = like.values_list("pk", flat=True).first()
    return found
