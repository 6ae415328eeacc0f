"""Dead letters grouped by what went wrong, on one page: a bad deploy is one row, however many items it hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, may_read_payload
from console.callers import Caller
from runtime.queries import attention, dead
from runtime.queries.dead import DeadFilter, DeadGroup
from runtime.queries.search import said
from runtime.queries.windows import WINDOW, figure
from runtime.queries.words import for_people
from runtime.sentences import translated

GROUPS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterRow:
    """A group with the address of its items; `message` is empty for those who may not read what engines say."""

    group: DeadGroup
    url: str
    reason: str
    message: str


class DeadLetterPages(ReadOnlyAdmin):
    """The page of the groups, under the work items."""

    dead_template = "admin/roost/workitem/dead.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        view = self.admin_site.admin_view(self.dead_view)
        return [path("dead/", view, name="roost_workitem_dead"), *super().get_urls()]

    def dead_view(self, request: HttpRequest) -> HttpResponse:
        """Show the groups: of what nobody has acknowledged, or of all with `?seen=1`. Reads only."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        seen = bool(request.GET.get("seen"))
        wanted = DeadFilter(acknowledged=None if seen else False, within=Caller.of_user(request.user).within())
        page = dead.groups(wanted, limit=GROUPS, newest_of=WINDOW)
        total = figure(dead.matching(wanted))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": _("Dead letters by what went wrong"),
            "opts": self.opts,
            "media": self.media,
            "rows": letter_rows(page.rows, seen=seen, reads=may_read_payload(request)),
            "more": page.more,
            "total": display.figure(total),
            "cut": total.value > WINDOW,
            "window": WINDOW,
            "seen": seen,
            "reads_payload": may_read_payload(request),
        }
        return TemplateResponse(request, self.dead_template, context)


def letter_rows(groups: Sequence[DeadGroup], *, seen: bool, reads: bool) -> list[LetterRow]:
    """Return the groups with what a page says of them."""
    return [
        LetterRow(
            group=group,
            url=display.list_url("workitem", **_narrowed(group, seen=seen)),
            reason=translated(for_people(group.reason)),
            message=display.told(group.message) if reads else "",
        )
        for group in groups
    ]


def newest_letters(*, reads: bool, within: attention.Within) -> list[LetterRow]:
    """Return the largest groups of what nobody has acknowledged, for the overview."""
    return letter_rows(attention.dead_groups(within=within).rows, seen=False, reads=reads)


def _narrowed(group: DeadGroup, *, seen: bool) -> dict[str, str]:
    fields = {"engine": group.engine, "fingerprint": group.fingerprint, "namespace": group.namespace}
    terms = ["state:failed", *(said(field, value) for field, value in fields.items() if value)]
    return {"q": " ".join(terms), **({} if seen else {"attention": "dead"})}
