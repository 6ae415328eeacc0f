"""Workers in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import BooleanField, Count, ExpressionWrapper, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.configuration import ConfigurationAdmin
from runtime.choices import WorkerState
from runtime.models import Worker
from runtime.operations.drain_worker import drain_worker, resume_worker
from runtime.queries import words
from runtime.queries.workers import heard_since
from runtime.store import work_database


class WorkFilter(admin.SimpleListFilter):
    """Narrow to workers that take work, or to those that should and are not heard of."""

    title = _("work")
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return the two choices."""
        return [("takes", _("takes work")), ("silent", _("silent, and not stopped"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        wanted = self.value()
        if wanted not in ("takes", "silent"):
            return queryset
        if wanted == "silent":
            return queryset.filter(silent=True)
        heard = heard_since(using=work_database())
        return queryset.filter(heartbeat_at__gte=heard, state=WorkerState.ONLINE, desired_state=WorkerState.ONLINE)


SHOWN = (
    *("name", "id", "standing", "engine_names", "pool_names", "code"),
    *("holds", "capacity", "beat", "started", "stopped"),
    *("boot_id", "pid_namespace", "process_started", "lock_key", "backend_pids"),
)


def _silent() -> ExpressionWrapper[Any]:
    """Say of each worker whether it has not stopped and is not heard of."""
    unheard = Q(heartbeat_at__lt=heard_since(using=work_database())) & ~Q(state=WorkerState.OFFLINE)
    return ExpressionWrapper(unheard, BooleanField())


class WorkerForm(forms.ModelForm):  # type: ignore[type-arg] # not generic when it runs
    """What is wanted of a worker. It bears no version: the row is written at each heartbeat."""

    desired_state = forms.ChoiceField(
        label=_("Wanted state"),
        choices=[
            (WorkerState.ONLINE, _("takes work")),
            (WorkerState.DRAINING, _("drains: finishes its steps, gives its items back and takes no others")),
        ],
        help_text=_("The worker hears of it with its next heartbeat."),
    )

    class Meta:
        model = Worker
        fields = ("desired_state",)


@admin.register(Worker)
class WorkerAdmin(ConfigurationAdmin):
    """Worker processes, newest first, and what each holds. One that runs is told here to drain, and to go on."""

    form = WorkerForm
    list_display = ("name", "standing", "engine_names", "pool_names", "release", "holds", "capacity", "beat")
    list_filter = (WorkFilter, "state", "desired_state")
    ordering = ("-started_at", "pk")
    search_help_text = _("A worker's id or host, whole.")
    find_by = ("host",)
    find_by_id = ("id",)
    fields = ("desired_state", *SHOWN)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave what is wanted of a worker to those that still hear of it."""
        hears = isinstance(obj, Worker) and obj.state == WorkerState.ONLINE
        return SHOWN if hears else ("desired_state", *SHOWN)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Have the worker drain, or go on."""
        if form.changed_data:
            turn = drain_worker if obj.desired_state == WorkerState.DRAINING else resume_worker
            turn(obj.pk, by=request.user, using=work_database())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the leases in the same query, and ask who is silent."""
        held = Count("leases", filter=Q(leases__revoked_at=None))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(running=held, silent=_silent())
        return rows

    @admin.display(description=_("process"))
    def name(self, row: Worker) -> str:
        """Show host and pid."""
        return str(row)

    @admin.display(description=_("state"), ordering="state")
    def standing(self, row: Any) -> SafeString:
        """Show the state as a badge, and whether it should be heard of and is not."""
        badge = display.badge(row.state, row.get_state_display())
        return format_html('{} <span class="roost-note">{}</span>', badge, _("silent")) if row.silent else badge

    @admin.display(description=_("engines"))
    def engine_names(self, row: Worker) -> str:
        """Show the engines it runs."""
        return ", ".join(map(str, row.engines)) or str(_("all"))

    @admin.display(description=_("pools"))
    def pool_names(self, row: Worker) -> str:
        """Show the pools it serves."""
        return ", ".join(map(str, row.pools)) or str(_("all"))

    @admin.display(description=_("versions"))
    def code(self, row: Worker) -> str:
        """Show which code it runs."""
        return words.versions(row.versions)

    @admin.display(description=_("release"))
    def release(self, row: Worker) -> str:
        """Show the release that it runs."""
        return words.release(row.versions)

    @admin.display(description=_("items held"))
    def holds(self, row: Any) -> SafeString:
        """Link the leases it holds."""
        return format_html('<a href="{}">{}</a>', display.list_url("lease", worker__id__exact=row.pk), row.running)

    @admin.display(description=_("last heartbeat"), ordering="heartbeat_at")
    def beat(self, row: Worker) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.heartbeat_at)

    @admin.display(description=_("started at"), ordering="started_at")
    def started(self, row: Worker) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.started_at)

    @admin.display(description=_("stopped at"), ordering="stopped_at")
    def stopped(self, row: Worker) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.stopped_at)
