"""Check what the history of items must show: each step once, and one owner after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Count, F, Window
from django.db.models.functions import Lag

from runtime.choices import EventKind
from runtime.models import Event, WorkItem
from runtime.queries.problem import Problem


def problems(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    """Yield what is wrong with the histories of these items."""
    told = Event.objects.using(using).filter(work_item__in=[one.pk for one in found])
    # Version 0 is no step's.
    steps = told.filter(kind=EventKind.STEP, version__gt=0).order_by().values("work_item_id", "version")
    for row in steps.annotate(times=Count("pk")).filter(times__gt=1):
        text = f"The step to version {row['version']} was committed {row['times']} times."
        yield Problem(item=row["work_item_id"], code="doubled_step", text=text)
    before = Window(Lag("epoch"), partition_by=F("work_item_id"), order_by=F("seq").asc())
    late = told.annotate(before=before).filter(before__gt=F("epoch"))
    for item, seq, epoch in late.values_list("work_item_id", "seq", "epoch"):
        text = f"Event {seq} is of epoch {epoch}, which was over: a worker wrote that had lost the item."
        yield Problem(item=item, code="zombie", text=text)
