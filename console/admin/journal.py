"""Recorded calls in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from runtime.models import JournalEntry


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """Calls that steps made. Results and errors are shown with the permission to view payloads."""

    list_display = ("id", "item", "base_version", "key", "name", "state", "attempts", "began")
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
