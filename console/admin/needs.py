"""What somebody should look at, each with the list in which it is mended. Only of what the user may view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from console.admin import display
from console.admin.base import may_view
from console.admin.dead_letters import newest_letters
from runtime import reach
from runtime.models import Lease, ResourceClaim, Wait, WorkItem
from runtime.queries import attention
from runtime.queries.attention import Within
from runtime.queries.search import said
from runtime.queries.windows import Figure
from runtime.queries.workers import WorkerView


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One line of the list: what kind of trouble, where, how many, and the address of those."""

    kind: str
    text: str
    count: str
    url: str
    tone: str = "failed"


def of(request: HttpRequest, alive: Sequence[WorkerView] | None, *, reads: bool) -> Iterator[Need]:
    """Go through what needs somebody, the gravest first. `alive` are the workers, None where they may not be seen."""
    items, within = may_view(request, WorkItem), reach.of(request.user)
    if items and alive is not None:
        yield from _stranded(alive)
    if may_view(request, Lease):
        yield from _leases(within)
    if items:
        yield from _dead(within, reads=reads)
        yield from _failing(within)
        yield from _held(within)
    if may_view(request, Wait):
        yield from _waits(within)
    if may_view(request, ResourceClaim):
        yield from _contested(within)


def _stranded(alive: Sequence[WorkerView]) -> Iterator[Need]:
    for lane in attention.stranded(alive):
        yield Need(
            kind=_("no worker"),
            text=_("queued for %(engine)s in the pool %(pool)s: start `manage.py runworker`")
            % {"engine": lane.engine, "pool": lane.pool},
            count=f"{lane.count:,}",
            url=display.list_url("workitem", state__exact="queued", engine=lane.engine),
        )


def _leases(within: Within) -> Iterator[Need]:
    over = attention.expired_leases(within=within)
    if over.value:
        yield Need(
            kind=_("expired leases"),
            text=_("a worker is gone and no other has swept: start one, or run `manage.py roost sweep`"),
            count=display.figure(over),
            url=display.list_url("lease", time="over"),
        )


def _dead(within: Within, *, reads: bool) -> Iterator[Need]:
    for row in newest_letters(reads=reads, within=within):
        yield Need(
            kind=_("dead letters"),
            text=f"{row.group.engine}: {display.shortened(row.message or row.reason)}",
            count=f"{row.group.count:,}",
            url=row.url,
        )


def _failing(within: Within) -> Iterator[Need]:
    for group in attention.failing(within=within):
        yield Need(
            kind=_("failing"),
            text=_("%(engine)s: failed, to be tried again") % {"engine": group.engine},
            count=f"{group.count:,}",
            url=display.list_url("workitem", attention="retry", engine=group.engine),
            tone="waiting",
        )


def _held(within: Within) -> Iterator[Need]:
    for group in attention.held(within=within):
        yield Need(
            kind=_("held"),
            text=_("%(engine)s, version %(version)s: no worker has code that goes on with it")
            % {"engine": group.engine, "version": group.version},
            count=f"{group.count:,}",
            url=display.list_url("workitem", attention="held", q=said("engine", group.engine)),
        )


def _waits(within: Within) -> Iterator[Need]:
    asks = attention.open_asks(within=within)
    lines: tuple[tuple[Figure, str, str, str], ...] = (
        (asks.soon, _("about to expire"), _("nobody has answered, and the time ends within an hour"), "soon"),
        (asks.approvals, _("approvals"), _("wait for a person to approve or reject"), "approvals"),
        (asks.inputs, _("inputs"), _("wait for a person's answer"), "inputs"),
    )
    for count, kind, text, inbox in lines:
        if count.value:
            url = display.list_url("wait", inbox=inbox)
            yield Need(kind=kind, text=text, count=display.figure(count), url=url, tone="waiting")


def _contested(within: Within) -> Iterator[Need]:
    for one in attention.contested(within=within):
        yield Need(
            kind=_("blocked"),
            text=_("wait for the resource %(key)s") % {"key": one.key},
            count=f"{one.waiters:,}",
            url=display.list_url("resourceclaim", resource__id__exact=one.resource, held__exact=0),
            tone="waiting",
        )
