"""What items ask for, and the signals they get, in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from runtime.models import Mailbox, Signal, Wait


@admin.register(Wait)
class WaitAdmin(ReadOnlyAdmin):
    """What is asked for, and the answers. What people see and say is shown with the permission to view payloads."""

    list_display = ("item", "kind", "key", "state", "prompt", "asked", "until", "resolved_by")
    list_filter = ("state", "kind")
    sortable_by = ()
    search_help_text = _("A work item's or a wait's whole id.")
    find_by_id = ("work_item_id", "pk")
    secret_fields = ("schema", "data", "default", "answers", "resolution")
    fields = (
        *("item", "base_version", "key", "kind", "state", "needed", "prompt", "signal_name", "quorum", "on_reject"),
        *("asked", "until", "answered", "resolved_by", "consumed_version", "has_default"),
        *("shown_schema", "shown_data", "shown_default", "shown_answers", "shown_resolution"),
    )
    shown_schema = json_column("schema", _("schema of the answer"))
    shown_data = json_column("data", _("details"))
    shown_default = json_column("default", _("default answer"))
    shown_answers = json_column("answers", _("votes"))
    shown_resolution = json_column("resolution", _("answer"))

    @admin.display(description=_("work item"))
    def item(self, row: Wait) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("asked at"))
    def asked(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)

    @admin.display(description=_("expires at"))
    def until(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.expires_at)

    @admin.display(description=_("answered at"))
    def answered(self, row: Wait) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.resolved_at)


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    """Signals, and the waits that took them. The payload is shown with the permission to view payloads."""

    list_display = ("id", "namespace", "name", "item", "sent", "actor", "consumed_version")
    list_filter = (("taken_by", admin.EmptyFieldListFilter),)
    sortable_by = ()
    search_help_text = _("A work item's or a signal's whole id.")
    find_by_id = ("target_id", "pk")
    secret_fields = ("payload",)
    fields = (
        *("namespace", "name", "item", "delivery_id", "actor", "sent", "taken_by_id", "consumed_version"),
        "shown_payload",
    )
    shown_payload = json_column("payload", _("payload"))

    @admin.display(description=_("to the work item"))
    def item(self, row: Signal) -> SafeString | str:
        """Link the item that it is for."""
        return display.item_link(row.target_id) if row.target_id else self.empty_value_display

    @admin.display(description=_("sent at"))
    def sent(self, row: Signal) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)


@admin.register(Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    """The names that signals were sent to, or waited for."""

    list_display = ("name", "namespace")
    sortable_by = ()
    search_help_text = _("A whole name.")
    find_by = ("name",)
    fields = ("namespace", "name")
