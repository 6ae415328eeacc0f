"""Schedules in the admin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.actions import OperatorAction
from console.admin.base import json_column, moment_column
from console.admin.operated import OperatedAdmin, OperatedForm
from console.admin.row_buttons import Button, buttons
from console.admin.verbs import VerbAdmin, offer
from console.schedule_actions import SCHEDULE_ACTIONS, ScheduleAction
from runtime import clock
from runtime.choices import ScheduleKind
from runtime.models import Schedule
from runtime.operations.firing import payload_at
from runtime.operations.schedules import SetSchedule, remove_schedule
from runtime.queries import schedules
from runtime.store import work_database

NAMED = ("namespace", "name")
EDITED = (
    *("engine", "payload", "options"),
    *("kind", "cron", "timezone", "every", "anchor"),
    *("catch_up", "time_field", "enabled", "note"),
)
PLAIN = ("engine", "payload", "catch_up", "time_field", "enabled", "note")


class ScheduleForm(OperatedForm):
    """A schedule that its operation would accept."""

    aliases = {"at": "anchor", "start_at": "anchor"}

    class Meta:
        model = Schedule
        fields = (*NAMED, *EDITED)

    def operation(self, by: Any = None) -> SetSchedule:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        said = self.cleaned_data
        values: dict[str, Any] = {field: said[field] for field in PLAIN if field in said}
        values.setdefault("payload", self.instance.payload)  # which not everybody who may change it may see
        values |= {"options": said["options"] or {}, **_times(said)}
        return SetSchedule(
            self.said("name"),
            namespace=self.said("namespace"),
            by=by,
            row_version=self.shown,
            using=work_database(),
            **values,
        )


def _times(said: dict[str, Any]) -> dict[str, Any]:
    zone = {"timezone": said["timezone"] or "UTC"}
    if said["kind"] == ScheduleKind.CRON:
        return {"cron": said["cron"], **zone}
    if said["kind"] == ScheduleKind.INTERVAL:
        every = said["every"] if said["every"] is not None else 0
        return {"every": every, **({"start_at": said["anchor"]} if said["anchor"] else {}), **zone}
    return {"at": said["anchor"], **zone}


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What the confirm page tells of a schedule: its times and its next run in words, and what it would enqueue."""

    schedule: Schedule
    times: str
    upcoming: str
    trouble: str
    payload: Any


@admin.register(Schedule)
@offer
class ScheduleAdmin(VerbAdmin, OperatedAdmin):
    """Work that is enqueued by the clock. Every edit goes through the operation, which knows the next run."""

    verbs = SCHEDULE_ACTIONS
    confirm_rows: ClassVar[str] = "roost/confirm_schedules.html"
    skipped_rows: ClassVar[str] = "roost/skipped_schedules.html"
    change_form_template = "admin/roost/change_form_buttons.html"
    change_list_template = "admin/roost/change_list_buttons.html"
    form = ScheduleForm
    named = NAMED
    secret_fields = ("payload", "error")
    secret_methods = ("trouble",)
    list_display = ("name", "namespace", "engine", "times", "enabled", "next_at", "last_at", "error")
    list_filter = ("enabled", "kind")
    search_help_text = _("A schedule's whole name.")
    find_by = ("name",)
    fields = (*NAMED, *EDITED, "shown_version", "next_runs", "last_at", "fired_total", "trouble")
    readonly_fields = ("next_runs", "last_at", "fired_total", "trouble")

    shown_payload = json_column("payload", _("payload"))

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the buttons that the user may press, next to whether it is enabled."""
        shown = list(super().get_list_display(request))
        allowed = [action for action in SCHEDULE_ACTIONS if action.allowed(request.user)]
        if allowed:
            shown.insert(shown.index("enabled") + 1, _buttons_column(allowed))
        return shown

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Give the page of a schedule its buttons."""
        schedule = context.get("original")
        if schedule is not None:
            allowed = (action for action in SCHEDULE_ACTIONS if action.allowed(request.user))
            context["row_buttons"] = _buttons(schedule, allowed)
        return super().render_change_form(request, context, *args, **options)

    def confirm(
        self, request: HttpRequest, action: OperatorAction, rows: QuerySet[Any], error: str = ""
    ) -> TemplateResponse:
        """Tell of each schedule when it runs next and what it would enqueue."""
        answer = super().confirm(request, action, rows, error)
        context: dict[str, Any] = answer.context_data or {}
        context["planned"] = _planned(context["eligible"])
        return answer

    def changed_in_words(self, count: int) -> str:
        """Say that so many schedules changed."""
        return ngettext("%(verb)s: %(count)d schedule changed.", "%(verb)s: %(count)d schedules changed.", count)

    def skipped_in_words(self, count: int) -> str:
        """Say that so many schedules were skipped."""
        return ngettext("%(verb)s: %(count)d schedule skipped.", "%(verb)s: %(count)d schedules skipped.", count)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the schedule."""
        remove_schedule(obj.name, namespace=obj.namespace, by=request.user, using=work_database())

    next_at = moment_column("next_run", _("next run"))
    last_at = moment_column("last_run", _("last run"))

    @admin.display(description=_("when"))
    def times(self, row: Schedule) -> str:
        """Show its times in words."""
        return schedules.times_in_words(row)

    @admin.display(description=_("next runs"))
    def next_runs(self, row: Schedule) -> SafeString | str:
        """Show its next five runs."""
        if row._state.adding:
            return "-"
        words = schedules.view(row, clock.now(work_database())).in_words
        return format_html_join("", "<div>{}</div>", ([one] for one in words)) or "-"

    @admin.display(description=_("what keeps it from firing"))
    def trouble(self, row: Schedule) -> str:
        """Show what keeps it from firing."""
        return "-" if row._state.adding else schedules.view(row, clock.now(work_database()), count=0).trouble or "-"


def _planned(rows: Sequence[Schedule]) -> list[Planned]:
    now = clock.now(work_database())
    views = ((row, schedules.view(row, now, count=0)) for row in rows)
    return [
        Planned(
            schedule=row,
            times=view.times,
            upcoming=schedules.upcoming_in_words(row, now),
            trouble=view.trouble if row.enabled else "",
            payload=payload_at(row, now),
        )
        for row, view in views
    ]


def _buttons(schedule: Schedule, actions: Iterable[ScheduleAction]) -> list[Button]:
    fitting = (action for action in actions if action.fits(schedule))
    return [Button(action=action, model="schedule", row=schedule, about=schedule.name) for action in fitting]


def _buttons_column(allowed: Sequence[ScheduleAction]) -> Callable[[Schedule], SafeString]:
    @admin.display(description=_("verbs"), empty_value="")
    def verbs(row: Schedule) -> SafeString:
        return buttons(_buttons(row, allowed))

    return verbs
