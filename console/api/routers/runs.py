"""Lay states and whole runs of work items side by side."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpRequest
from ninja.params import functions as param

from console.api.heavy import heavy
from console.api.masking import masked
from console.api.pagination import LONGEST_CURSOR, after_number, cursor
from console.api.reach import item_of
from console.api.routes import new_router, route
from console.api.schemas.runs import RunDiff, StateDiff
from console.callers import VIEW_PAYLOAD
from runtime.models import Snapshot
from runtime.queries import diff
from runtime.queries.diff import Side
from runtime.queries.diff import VersionDiff as Versions
from runtime.queries.jsondiff import MOST, Change, Difference

router = new_router("work items")

OF = "/work-items/{uuid:item_id}"
LAST_VERSION = 2**63 - 1
MOST_VERSIONS = 20
"""Versions of two runs that one request compares: each is two states, of megabytes maybe."""
MOST_TOLD = 64 * 1024
"""Characters of JSON of one value that differs, beyond which it is left out."""


@route(router, "GET", f"{OF}/diff", "diffStates", gives={200: StateDiff}, permission=VIEW_PAYLOAD, refuses=(404,))
def diff_states(
    request: HttpRequest,
    item_id: uuid.UUID,
    first: int | None = param.Query(None, alias="from", ge=0, le=LAST_VERSION, description="Else the one before."),
    last: int | None = param.Query(None, alias="to", ge=0, le=LAST_VERSION, description="Else the latest."),
    other: uuid.UUID | None = param.Query(None, description="The item that `to` is a version of, in place of this."),
    limit: int = param.Query(MOST, ge=1, le=MOST, description="Places that are told, at most."),
) -> dict[str, Any]:
    """Say how two states differ: of one item, or of two"""
    item = item_of(request, item_id)
    against = item if other is None else item_of(request, other)
    after = against.version if last is None else last
    before = first if first is not None else item.version if other is not None else max(after - 1, 0)
    with heavy():
        found = diff.snapshots(item.pk, before, after, other=against.pk, most=limit, shown=masked)
    ends = {"before": _end(found.before), "after": _end(found.after)}
    return ends | {"same": found.difference.same} | _told(found.difference)


@route(
    router,
    "GET",
    f"{OF}/diff/{{uuid:other_id}}",
    "diffRuns",
    gives={200: RunDiff},
    permission=VIEW_PAYLOAD,
    refuses=(404,),
)
def diff_runs(
    request: HttpRequest,
    item_id: uuid.UUID,
    other_id: uuid.UUID,
    limit: int = param.Query(MOST_VERSIONS, ge=1, le=MOST_VERSIONS, description="Versions of a page, at most."),
    start: str = param.Query(
        "", alias="cursor", max_length=LONGEST_CURSOR, description="The `next` of the page before."
    ),
) -> dict[str, Any]:
    """Lay two runs side by side, version by version, a fork beside what it was forked from"""
    left, right = item_of(request, item_id), item_of(request, other_id)
    with heavy():
        found = diff.runs(left, right, after=after_number(start, -1), limit=limit, shown=masked)
    return {
        "left": left.pk,
        "right": right.pk,
        "shift": found.shift,
        "diverged": found.diverged,
        "versions": [_version(one) for one in found.versions],
        "next": cursor(found.next, more=found.next is not None),
    }


def _end(found: Snapshot) -> dict[str, Any]:
    return {"item": found.work_item_id, "version": found.version, "label": found.label}


def _version(one: Versions) -> dict[str, Any]:
    difference = {"changes": None, "more": None} if one.difference is None else _told(one.difference)
    return {"left": _side(one.left), "right": _side(one.right), "same": one.same, **difference}


def _side(side: Side | None) -> dict[str, Any] | None:
    return None if side is None else {name: getattr(side, name) for name in side.__slots__}


def _told(found: Difference) -> dict[str, Any]:
    return {"changes": [_change(one) for one in found.changes], "more": found.more}


def _change(one: Change) -> dict[str, Any]:
    """Return a change, without its values where they are too large: states are read whole elsewhere."""
    large = any(len(json.dumps(value)) > MOST_TOLD for value in (one.before, one.after))
    values = {"before": None, "after": None} if large else {"before": one.before, "after": one.after}
    return {"kind": one.kind, "path": one.path, "left_out": large, **values}
