"""Events in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from runtime.models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The history of all items, newest first."""

    list_display = ("created", "item", "seq", "kind", "step", "why", "actor", "took")
    list_filter = ("kind",)
    sortable_by = ("created",)
    item_ordering = ("-seq",)
    search_help_text = _("A work item's whole id.")
    find_by_id = ("work_item_id",)
    secret_fields = ("data",)
    fields = (
        "item",
        "seq",
        "kind",
        "created",
        "version",
        "epoch",
        "attempt",
        "signed_by",
        "actor",
        "why",
        "took",
        "shown_data",
    )
    shown_data = json_column("data", _("data"))

    @admin.display(description=_("work item"))
    def item(self, row: Event) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("at"), ordering="id")
    def created(self, row: Event) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)

    @admin.display(description=_("worker"))
    def signed_by(self, row: Event) -> SafeString | str:
        """Link the worker that wrote it."""
        return display.worker_link(row.worker)

    @admin.display(description=_("reason"))
    def why(self, row: Event) -> str:
        """Show the reason in words."""
        return row.reason_text

    @admin.display(description=_("step"))
    def step(self, row: Event) -> str:
        """Show the version, and how many attempts failed before."""
        if not row.attempt:
            return str(row.version)
        return gettext("%(version)s · attempt %(number)s") % {"version": row.version, "number": row.attempt}

    @admin.display(description=_("duration"))
    def took(self, row: Event) -> str:
        """Show how long it took."""
        return display.seconds(row.duration)
