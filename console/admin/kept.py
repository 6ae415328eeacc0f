"""What was removed from histories, large values beside the rows, and requests that are known again, in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin
from runtime.models import DoneRequest, EventHorizon, Offloaded, PrunedHistory


@admin.register(PrunedHistory)
class PrunedHistoryAdmin(ReadOnlyAdmin):
    """How far the histories of items that stay were removed."""

    list_display = ("name", "events_through", "snapshots_through", "pruned")
    ordering = ("pk",)
    search_help_text = _("A work item's whole id.")
    find_by_id = ("work_item_id",)
    fields = ("item", "events_through", "steps_through", "snapshots_through", "pruned")

    @admin.display(description=_("item"), ordering="work_item_id")
    def name(self, row: PrunedHistory) -> str:
        """Show both ends of the item's id."""
        return display.short_id(row.pk)

    @admin.display(description=_("work item"))
    def item(self, row: PrunedHistory) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("last removed from"))
    def pruned(self, row: PrunedHistory) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.pruned_at)


@admin.register(Offloaded)
class OffloadedAdmin(ReadOnlyAdmin):
    """Large values of items that are kept in the artifact storage."""

    list_display = ("id", "item", "place", "version", "blob_id")
    ordering = ("-id",)
    search_help_text = _("A work item's whole id.")
    find_by_id = ("work_item_id",)
    fields = ("item", "place", "version", "blob_id")

    @admin.display(description=_("work item"))
    def item(self, row: Offloaded) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)


@admin.register(EventHorizon)
class EventHorizonAdmin(ReadOnlyAdmin):
    """How recent an event was ever removed."""

    list_display = ("event", "tx")
    fields = ("event", "tx")


@admin.register(DoneRequest)
class DoneRequestAdmin(ReadOnlyAdmin):
    """Requests with a key of their own that were done."""

    list_display = ("id", "key", "done")
    ordering = ("-id",)
    fields = ("key", "done")

    @admin.display(description=_("done at"))
    def done(self, row: DoneRequest) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.done_at)
