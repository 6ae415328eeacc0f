"""Workers in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin
from runtime.choices import WorkerState
from runtime.models import Worker
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
        heard = heard_since(using=work_database())
        if wanted == "silent":
            return queryset.filter(heartbeat_at__lt=heard).exclude(state=WorkerState.OFFLINE)
        return queryset.filter(heartbeat_at__gte=heard, state=WorkerState.ONLINE, desired_state=WorkerState.ONLINE)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Worker processes, newest first, and what each holds."""

    list_display = ("name", "standing", "engine_names", "pool_names", "holds", "capacity", "beat", "started")
    list_filter = (WorkFilter, "state", "desired_state")
    ordering = ("-started_at", "pk")
    search_help_text = _("A worker's id or host, whole.")
    find_by = ("host",)
    find_by_id = ("id",)
    fields = (
        "name",
        "id",
        "standing",
        "desired_state",
        "engine_names",
        "pool_names",
        "holds",
        "capacity",
        "beat",
        "started",
        "stopped",
        "boot_id",
        "pid_namespace",
        "process_started",
        "lock_key",
        "backend_pids",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the leases in the same query."""
        held = Count("leases", filter=Q(leases__revoked_at=None))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(running=held)
        return rows

    @admin.display(description=_("process"))
    def name(self, row: Worker) -> str:
        """Show host and pid."""
        return str(row)

    @admin.display(description=_("state"), ordering="state")
    def standing(self, row: Worker) -> SafeString:
        """Show the state as a badge."""
        return display.badge(row.state, row.get_state_display())

    @admin.display(description=_("engines"))
    def engine_names(self, row: Worker) -> str:
        """Show the engines it runs."""
        return ", ".join(map(str, row.engines)) or str(_("all"))

    @admin.display(description=_("pools"))
    def pool_names(self, row: Worker) -> str:
        """Show the pools it serves."""
        return ", ".join(map(str, row.pools)) or str(_("all"))

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
