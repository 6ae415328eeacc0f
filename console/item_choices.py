"""What speaks against a verb for each of many items, and what there is to choose from: read for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils.translation import gettext as _

from console.action_fields import Option
from console.actions import Objection
from runtime.choices import JournalState, State
from runtime.exceptions import Conflict
from runtime.models import ResourceClaim, Snapshot, WorkItem
from runtime.operations.reset_call import ResetCall
from runtime.queries import journal
from runtime.store import work_database

MOST_OFFERED = 100
"""Choices that a page offers."""


LAST_KEPT = (("kind_kept", Exists(Snapshot.objects.filter(work_item_id=OuterRef("pk"), version=OuterRef("version")))),)
"""Tells apart items whose last state is kept."""


def without_snapshot(rows: Sequence[WorkItem]) -> Objection:
    """Object to items whose last state is not kept."""
    kept = Snapshot.objects.using(work_database()).filter(
        work_item_id__in=[row.pk for row in rows], version=F("work_item__version")
    )
    found = set(kept.values_list("work_item_id", flat=True))

    def objection(item: WorkItem) -> None:
        if item.pk not in found:
            told = {"item": item.pk, "state": item.state, "version": item.version}
            raise Conflict(
                _("Work item %(item)s is %(state)s at version %(version)d, of which it has no snapshot.") % told,
                state=item.state,
            )

    return objection


def without_claim(rows: Sequence[WorkItem]) -> Objection:
    """Object to items that hold nothing, and to those that run and may be using what they hold."""
    claims = _claims(rows)
    holders = set() if claims is None else set(claims.values_list("work_item_id", flat=True))

    def objection(item: WorkItem) -> None:
        told = {"item": item.pk, "state": item.state}
        if item.state == State.RUNNING:
            text = _("Work item %(item)s is running and may be using what it holds. Release its lease, or cancel it.")
            raise Conflict(text % told, state=item.state)
        if item.pk not in holders:
            raise Conflict(_("Work item %(item)s is %(state)s and holds no claim.") % told, state=item.state)

    return objection


def _claims(rows: Sequence[WorkItem]) -> QuerySet[ResourceClaim] | None:
    # An item that asks for no resource has no claim, and costs no query.
    ids = [row.pk for row in rows if row.limited]
    found: QuerySet[ResourceClaim] = ResourceClaim.objects.using(work_database())
    return found.filter(work_item_id__in=ids, held=True) if ids else None


def resources_held(rows: Sequence[Any]) -> list[Option]:
    """Offer the resources that these items hold."""
    claims = _claims(rows)
    if claims is None:
        return []
    keys = claims.order_by("resource__key").values_list("resource__key", flat=True).distinct()
    return [Option(value=key, label=key) for key in keys[:MOST_OFFERED]]


def without_call(rows: Sequence[WorkItem]) -> Objection:
    """Object to items that run, that are on legal hold, and that have no call to forget."""
    still = [row.pk for row in rows if row.state != State.RUNNING and not row.legal_hold]
    found = set(journal.resettable(still).values_list("work_item_id", flat=True)) if still else set()

    def objection(item: WorkItem) -> None:
        ResetCall(item.pk, "-").require_still(item)
        if item.pk not in found:
            told = {"item": item.pk, "state": item.state}
            text = _(
                "Work item %(item)s is %(state)s and has no call to forget: none of its next step failed for good or "
                "is in doubt, or a person is asked about it and the answer decides."
            )
            raise Conflict(text % told, state=item.state)

    return objection


def calls_to_reset(rows: Sequence[Any]) -> list[Option]:
    """Offer the calls of these items, each key once, with what is called and what came of it."""
    found = journal.resettable([row.pk for row in rows]).order_by("key").values_list("key", "name", "state")
    keys: dict[str, list[str]] = {}
    for key, name, state in found.distinct()[:MOST_OFFERED]:
        what = _("in doubt") if state == JournalState.STARTED else str(JournalState(state).label)
        keys.setdefault(key, []).append(f"{name}, {what}" if name else what)
    return [Option(value=key, label=f"{key} ({'; '.join(told)})") for key, told in keys.items()]
