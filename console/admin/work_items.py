"""Work items in the admin: the list, an item's page, and the verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import json_column, may_read_payload, moment_column
from console.admin.bulk import BulkAdmin
from console.admin.dead_letters import DeadLetterPages
from console.admin.enqueueing import EnqueuePages
from console.admin.exporting import MOST as MOST_EXPORTED
from console.admin.exporting import ExportPages
from console.admin.filters import AgeFilter, AttentionFilter, EngineFilter, NamespaceFilter
from console.admin.item_page import item_page
from console.admin.live import LiveAddresses
from console.admin.story import StoryPages
from console.admin.verbs import offer
from console.item_actions import ACTIONS
from runtime import reach
from runtime.choices import State
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.queries.found import find
from runtime.queries.items import HEAVY
from runtime.queries.redaction import sounds_secret
from runtime.queries.search import FIELDS, Term, parse
from runtime.queries.windows import WINDOW
from runtime.sentences import translated


@admin.register(WorkItem)
@offer
class WorkItemAdmin(LiveAddresses, DeadLetterPages, EnqueuePages, ExportPages, StoryPages, BulkAdmin):
    """Work items, newest first; an item's page tells its story and offers the verbs."""

    verbs = ACTIONS
    change_form_template = "admin/roost/workitem/change_form.html"
    change_list_template = "admin/roost/workitem/change_list.html"
    list_display = ("name", "standing", "engine", "step", "attempts", "due", "updated")
    list_filter = ("state", AttentionFilter, EngineFilter, NamespaceFilter, AgeFilter)
    sortable_by = ("name",)
    search_help_text = _("A whole id (finds its children too), idempotency key or error fingerprint, or field:value.")
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
                    "moment_run_at",
                    "moment_deadline_at",
                    "moment_timeout_at",
                    "moment_away_since",
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
                    "moment_acknowledged_at",
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
                    "moment_created_at",
                    "moment_started_at",
                    "moment_finished_at",
                    "moment_updated_at",
                ],
            },
        ),
    )
    shown_payload = json_column("payload", _("payload"))
    shown_result = json_column("result", _("result"))
    shown_config = json_column("config", _("configuration"))
    shown_resources = json_column("resources", _("resources"))
    moment_run_at = moment_column("run_at", _("due at"))
    moment_deadline_at = moment_column("deadline_at", _("deadline"))
    moment_timeout_at = moment_column("timeout_at", _("times out at"))
    moment_away_since = moment_column("away_since", _("waiting or paused since"))
    moment_acknowledged_at = moment_column("acknowledged_at", _("acknowledged at"))
    moment_created_at = moment_column("created_at", _("created at"))
    moment_started_at = moment_column("started_at", _("first claimed at"))
    moment_finished_at = moment_column("finished_at", _("finished at"))
    moment_updated_at = moment_column("updated_at", _("updated at"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Give the list what its search finds by, and how much of it is handed out."""
        context = {"fields": FIELDS, "window": WINDOW, "most_exported": MOST_EXPORTED, **(extra_context or {})}
        return super().changelist_view(request, context)

    def to_confirm(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Leave the heavy columns in the database."""
        return rows.defer(*HEAVY)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by `field:value` and by words; say in a message what could not be read or was left out."""
        try:
            terms = parse(search_term)
            _check_readable(request, terms)
            found = find(queryset, terms, reach.of(request.user))
        except InvalidInput as error:
            _tell_once(request, messages.ERROR, translated(error))
            request.__dict__["roost_refused"] = True
            return queryset.none(), False
        for note in found.notes:
            _tell_once(request, messages.INFO, note)
        return found.rows, False

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


def _check_readable(request: HttpRequest, terms: Sequence[Term]) -> None:
    """Refuse to find by what the user may not read: the number of hits would tell it."""
    if any(term.is_secret for term in terms) and not may_read_payload(request):
        raise InvalidInput("error: and payload. are for those with the permission roost.view_payload.", field="q")
    masked = [part for term in terms for part in term.path if sounds_secret(part)]
    if masked:
        raise InvalidInput(f"{masked[0]!r} sounds like a secret: nothing is found by it.", field="q")


def _tell_once(request: HttpRequest, level: int, text: str) -> None:
    """Show a message; Django asks for the rows of a list twice when an action is asked for."""
    told: set[str] = request.__dict__.setdefault("roost_told", set())
    if text not in told:
        told.add(text)
        messages.add_message(request, level, text)
