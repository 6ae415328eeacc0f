"""Schedules in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin.base import json_column, moment_column
from console.admin.operated import OperatedAdmin, OperatedForm
from runtime import clock
from runtime.choices import ScheduleKind
from runtime.models import Schedule
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


@admin.register(Schedule)
class ScheduleAdmin(OperatedAdmin):
    """Work that is enqueued by the clock. Every edit goes through the operation, which knows the next run."""

    form = ScheduleForm
    named = NAMED
    edited = EDITED
    secret_fields = ("payload", "error")
    secret_methods = ("trouble",)
    list_display = ("name", "namespace", "engine", "times", "enabled", "next_at", "last_at", "error")
    list_filter = ("enabled", "kind")
    search_help_text = _("A schedule's whole name.")
    find_by = ("name",)
    fields = (*NAMED, *EDITED, "shown_version", "next_runs", "last_at", "fired_total", "trouble")
    readonly_fields = ("next_runs", "last_at", "fired_total", "trouble")

    shown_payload = json_column("payload", _("payload"))

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
