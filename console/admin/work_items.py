"""Work items in the admin: the list, an item's page, and the verbs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.forms import Media, Script
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import json_column
from console.admin.item_page import item_page
from console.admin.verbs import VerbAdmin, offer
from console.live.changes import changes_since
from runtime import registry
from runtime.choices import PARKED, State
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.queries import feed

SUSPECT_DEATHS = 2


class EngineFilter(admin.SimpleListFilter):
    """Narrow by engine: the registered ones, since asking the table would read it through."""

    title = _("engine")
    parameter_name = "engine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """Return the engines' names."""
        names = {*registry.names(), *filter(None, [self.value()])}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        return queryset.filter(engine=self.value()) if self.value() else queryset


class AttentionFilter(admin.SimpleListFilter):
    """Narrow to what somebody should look at."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return the kinds of attention."""
        return [
            ("dead", _("dead letters nobody has seen")),
            ("retry", _("failing, will be retried")),
            ("parked", _("parked for a resource or limit")),
            ("suspect", _("lost two workers or more in a row")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        narrowed = {
            "dead": Q(state=State.FAILED, acknowledged_at=None),
            "retry": Q(state=State.QUEUED, attempt__gt=0),
            "parked": Q(state=State.QUEUED, reason__in=PARKED),
            "suspect": Q(deaths__gte=SUSPECT_DEATHS) & ~Q(state__in=[State.DONE, State.CANCELLED]),
        }.get(self.value() or "")
        return queryset if narrowed is None else queryset.filter(narrowed)


@admin.register(WorkItem)
@offer
class WorkItemAdmin(VerbAdmin):
    """Work items, newest first; an item's page tells its story and offers the verbs."""

    change_form_template = "admin/roost/workitem/change_form.html"
    change_list_template = "admin/roost/workitem/change_list.html"
    list_display = ("name", "standing", "engine", "step", "attempts", "due", "updated")
    list_filter = ("state", AttentionFilter, EngineFilter)
    sortable_by = ("name",)
    search_help_text = _("A work item's id (finds its children too), idempotency key or error fingerprint, whole.")
    find_by = ("idempotency_key", "fingerprint")
    find_by_id = ("id", "parent_id")
    secret_fields = ("payload", "config", "result", "last_error")
    fieldsets = (
        (_("Payload"), {"classes": ["collapse"], "fields": ["shown_payload"]}),
        (_("Result"), {"classes": ["collapse"], "fields": ["shown_result"]}),
        (_("Configuration at enqueue"), {"classes": ["collapse"], "fields": ["shown_config"]}),
        (
            _("All columns"),
            {
                "classes": ["collapse"],
                "fields": [
                    "namespace",
                    "engine",
                    "engine_version",
                    "pool",
                    "priority",
                    "fair_key",
                    "shown_resources",
                    "state",
                    "reason",
                    "paused_from",
                    "pause_requested",
                    "step_label",
                    "run_at",
                    "deadline_at",
                    "timeout_at",
                    "away_since",
                    "attempt",
                    "max_attempts",
                    "deaths",
                    "max_steps",
                    "pause_at_step",
                    "step_timeout",
                    "item_timeout",
                    "relation",
                    "idempotency_key",
                    "fingerprint",
                    "acknowledged_at",
                    "acknowledged_by",
                    "legal_hold",
                    "version",
                    "epoch",
                    "row_version",
                    "event_seq",
                    "steps_total",
                    "duration_total",
                    "away_total",
                    "tokens_total",
                    "cost_total",
                    "created_at",
                    "started_at",
                    "finished_at",
                    "updated_at",
                ],
            },
        ),
    )
    shown_payload = json_column("payload", _("payload"))
    shown_result = json_column("result", _("result"))
    shown_config = json_column("config", _("configuration"))
    shown_resources = json_column("resources", _("resources"))

    @property
    def media(self) -> Media:
        """Add the module that keeps pages up to date."""
        scripts: list[Any] = [Script("roost/live.js", type="module")]
        return super().media + Media(js=scripts)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that pages without a socket ask what changed."""
        view = self.admin_site.admin_view(self.changes_view)
        return [path("changes/", view, name="roost_workitem_changes"), *super().get_urls()]

    def changes_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what changed since a cursor, in the words of the socket."""
        if not self.has_view_permission(request):
            return JsonResponse({"error": "forbidden"}, status=403)
        try:
            asked = json.loads(request.GET.get("ask", "{}"))
            return JsonResponse(changes_since(asked))
        except (ValueError, InvalidInput) as error:
            return JsonResponse({"error": str(error)}, status=400)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Give the list the cursor from which it hears of changes."""
        return super().changelist_view(request, {"cursor": feed.start(), **(extra_context or {})})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Give the page the item's story."""
        item = context["original"]
        context.update(page=item_page(request, item), title=_("Work item"), subtitle=None)
        return super().render_change_form(request, context, *args, **options)

    @admin.display(description=_("item"), ordering="id")
    def name(self, row: WorkItem) -> SafeString:
        """Show both ends of the id."""
        return format_html('<span class="roost-id" title="{}">{}</span>', row.pk, display.short_id(row.pk))

    @admin.display(description=_("state"))
    def standing(self, row: WorkItem) -> SafeString:
        """Show the state as a badge, and under it the reason in words."""
        reason = row.get_reason_display()
        if not reason:
            return display.state_badge(row)
        return format_html('{}<div class="roost-quiet">{}</div>', display.state_badge(row), reason)

    @admin.display(description=_("step"))
    def step(self, row: WorkItem) -> str:
        """Show the version and the last step's label."""
        return f"{row.version} · {row.step_label}" if row.step_label else str(row.version)

    @admin.display(description=_("attempts"))
    def attempts(self, row: WorkItem) -> str:
        """Show failed attempts of those allowed, nothing when there are none."""
        return f"{row.attempt} / {row.max_attempts}" if row.attempt else ""

    @admin.display(description=_("due at"))
    def due(self, row: WorkItem) -> SafeString | str:
        """Show when a queued item is due."""
        return display.moment(row.run_at if row.state == State.QUEUED else None)

    @admin.display(description=_("updated at"))
    def updated(self, row: WorkItem) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.updated_at)
