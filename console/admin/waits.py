"""What items ask for, and the answers, in the admin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ITEM_LOOKUP, json_column
from console.admin.live import LiveList
from console.admin.row_buttons import Button, buttons
from console.admin.verbs import VerbAdmin, offer
from console.wait_actions import WAIT_ACTIONS, WaitAction
from runtime import clock
from runtime.choices import WaitKind, WaitState
from runtime.models import Wait
from runtime.queries.attention import SOON
from runtime.queries.items import HEAVY
from runtime.store import work_database

ALL = "all"


class InboxFilter(admin.SimpleListFilter):
    """Narrow to what is still open; without a choice that is all of it, by deadline."""

    title = _("inbox")
    parameter_name = "inbox"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return what people and things are waited for."""
        return [
            ("approvals", _("open approvals")),
            ("inputs", _("open inputs")),
            ("soon", _("expire within an hour")),
            (ALL, _("all, answered ones too")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Call the choice that is made by default by its name."""
        first, *others = super().choices(changelist)
        yield {**first, "display": _("open")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        wanted = self.value()
        if wanted == ALL or (wanted is None and _seeks(request)):
            return queryset
        still = queryset.filter(state=WaitState.OPEN)
        if wanted == "soon":
            return still.filter(expires_at__lt=clock.now(work_database()) + SOON).exclude(kind=WaitKind.TIMER)
        kind = {"approvals": WaitKind.APPROVAL, "inputs": WaitKind.INPUT}.get(wanted or "")
        return still if kind is None else still.filter(kind=kind)


def _seeks(request: HttpRequest) -> bool:
    """Say whether the list is asked for certain waits, by their item, their state or a search."""
    return any(request.GET.get(name) for name in ("q", "state__exact", ITEM_LOOKUP))


@admin.register(Wait)
@offer
class WaitAdmin(LiveList, VerbAdmin):
    """What is asked for, and the answers. What people see and say is shown with the permission to view payloads."""

    verbs = WAIT_ACTIONS
    confirm_rows = "roost/confirm_waits.html"
    change_form_template = "admin/roost/change_form_buttons.html"
    change_list_template = "admin/roost/wait/change_list.html"
    list_display = ("item", "kind", "prompt", "until", "state", "key", "asked", "resolved_by")
    # The item is a link of its own.
    list_display_links = ("kind",)
    list_filter = (InboxFilter, "state", "kind")
    sortable_by = ()
    search_help_text = _("A work item's or a wait's whole id.")
    find_by_id = ("work_item_id", "pk")
    secret_fields = ("schema", "data", "default", "answers", "resolution")
    fields = (
        *("item", "base_version", "key", "kind", "state", "needed", "prompt", "signal_name", "quorum", "on_reject"),
        *("asked", "until", "answered", "resolved_by", "consumed_version", "has_default"),
        *("shown_schema", "shown_data", "shown_default", "shown_answers", "shown_resolution"),
    )
    shown_schema = json_column("schema", _("schema of the answer"))
    shown_data = json_column("data", _("details"))
    shown_default = json_column("default", _("default answer"))
    shown_answers = json_column("answers", _("votes"))
    shown_resolution = json_column("resolution", _("answer"))

    def to_confirm(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Read the items with the waits, without what is heavy in them."""
        return rows.select_related("work_item").defer(*(f"work_item__{column}" for column in HEAVY))

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the buttons that the user may press, next to the question."""
        shown = list(super().get_list_display(request))
        allowed = [action for action in WAIT_ACTIONS if action.allowed(request.user)]
        if allowed:
            shown.insert(shown.index("prompt") + 1, _buttons_column(allowed))
        return shown

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Give the page its buttons."""
        context["row_buttons"] = _buttons(context["original"], answers_to(request, context["original"]))
        return super().render_change_form(request, context, *args, **options)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Order what is open by its deadline, what never expires last; all else newest first."""
        if request.GET.get(InboxFilter.parameter_name) == ALL or _seeks(request):
            return super().get_ordering(request)
        return (F("expires_at").asc(nulls_last=True), "pk")

    @admin.display(description=_("work item"))
    def item(self, row: Wait) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("asked at"))
    def asked(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)

    @admin.display(description=_("expires at"))
    def until(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.expires_at)

    @admin.display(description=_("answered at"))
    def answered(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.resolved_at)


def answers_to(request: HttpRequest, wait: Wait) -> tuple[WaitAction, ...]:
    """Return what the user may answer to a wait. Reads nothing."""
    return tuple(action for action in WAIT_ACTIONS if action.fits(wait) and action.allowed(request.user))


def _buttons(wait: Wait, actions: Iterable[WaitAction]) -> list[Button]:
    return [Button(action=action, model="wait", row=wait, about=wait.key) for action in actions]


def _buttons_column(allowed: Sequence[WaitAction]) -> Callable[[Wait], SafeString]:
    @admin.display(description=_("answer"), empty_value="")
    def answer(row: Wait) -> SafeString:
        return buttons(_buttons(row, (action for action in allowed if action.fits(row))))

    return answer
