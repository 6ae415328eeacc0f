"""Artifacts and their stored contents in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from runtime.models import Artifact, Blob


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """Files that steps made: what they are, never their bytes."""

    list_display = ("name", "item", "version", "kind", "bytes", "content", "created")
    list_filter = ("kind",)
    sortable_by = ()
    item_ordering = ("-version", "name")
    search_help_text = _("A work item's or an artifact's id, whole.")
    find_by_id = ("id", "work_item_id")
    secret_fields = ("metadata",)
    fields = ("name", "item", "version", "kind", "content_type", "bytes", "content", "created", "shown_metadata")
    shown_metadata = json_column("metadata", _("metadata"))

    @admin.display(description=_("work item"))
    def item(self, row: Artifact) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("size"))
    def bytes(self, row: Artifact) -> str:
        """Show the size with its unit."""
        return display.size(row.size)

    @admin.display(description=_("sha256"))
    def content(self, row: Artifact) -> SafeString:
        """Show the content's hash."""
        return format_html('<code class="roost-id">{}</code>', row.sha256)

    @admin.display(description=_("created at"))
    def created(self, row: Artifact) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)


@admin.register(Blob)
class BlobAdmin(ReadOnlyAdmin):
    """Contents in the artifact storage."""

    list_display = ("sha256", "bytes", "path", "touched")
    ordering = ("-touched_at", "pk")
    search_help_text = _("A content's whole sha256.")
    find_by = ("sha256",)
    fields = ("sha256", "bytes", "path", "touched")

    @admin.display(description=_("size"), ordering="size")
    def bytes(self, row: Blob) -> str:
        """Show the size with its unit."""
        return display.size(row.size)

    @admin.display(description=_("last stored at"), ordering="touched_at")
    def touched(self, row: Blob) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.touched_at)
