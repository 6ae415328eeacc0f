"""Snapshots in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from runtime.models import Snapshot


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    """The state after each step. The state itself is shown with the permission to view payloads."""

    list_display = ("id", "item", "version", "label", "epoch", "restored_from", "created")
    sortable_by = ("id",)
    item_ordering = ("-version",)
    search_help_text = _("A work item's whole id.")
    find_by_id = ("work_item_id",)
    secret_fields = ("data",)
    fields = ("item", "version", "label", "epoch", "restored_from", "created", "shown_data")
    shown_data = json_column("data", _("state"))

    @admin.display(description=_("work item"))
    def item(self, row: Snapshot) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("created at"))
    def created(self, row: Snapshot) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)
