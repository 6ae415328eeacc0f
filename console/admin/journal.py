"""Recorded calls in the admin."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import json_column
from console.admin.row_buttons import ItemRowsAdmin
from runtime.models import JournalEntry
from runtime.queries.journal import may_be_reset


@admin.register(JournalEntry)
class JournalEntryAdmin(ItemRowsAdmin):
    """Calls that steps made. Results and errors are shown with the permission to view payloads."""

    row_verbs = ("reset_call",)
    verbs_after = "state"
    list_display = ("id", "item", "key", "state", "name", "began")
    list_filter = ("state",)
    sortable_by = ("id",)
    item_ordering = ("-base_version", "-key")
    search_help_text = _("A work item's whole id.")
    find_by_id = ("work_item_id",)
    secret_fields = ("result", "error")
    fields = (
        *("item", "base_version", "key", "name", "state", "attempts", "epoch", "idempotency_key", "input_hash"),
        *("began", "ended", "shown_result", "shown_error"),
    )
    shown_result = json_column("result", _("result"))
    shown_error = json_column("error", _("last error"))

    def fitting(self, row: JournalEntry) -> Iterator[tuple[str, dict[str, str]]]:
        """Offer to have a call forgotten that failed for good or is in doubt."""
        if may_be_reset(row, row.work_item):
            yield "reset_call", {"key": row.key}

    @admin.display(description=_("work item"))
    def item(self, row: JournalEntry) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("last call began"))
    def began(self, row: JournalEntry) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.started_at)

    @admin.display(description=_("ended at"))
    def ended(self, row: JournalEntry) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.ended_at)
