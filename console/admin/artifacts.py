"""Artifacts and their stored contents in the admin: what they are, a safe look into them, and the download."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console import links
from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column, may_read_payload
from console.attachments import OutOfRange, attached
from console.callers import Caller
from console.links import HOUR
from console.previews import picture_of
from runtime.exceptions import CorruptArtifact, InvalidInput, StorageUnavailable
from runtime.models import Artifact, Blob
from runtime.sentences import translated

LIVES = ((HOUR, _("an hour")), (24 * HOUR, _("a day")), (7 * 24 * HOUR, _("a week")))
"""Seconds for which a link that a person makes may be good, and how that is called."""

log = logging.getLogger("roost.console")

SHORT_HASH = 10
"""Characters of a hash that a list shows."""


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """Files that steps made. Whoever may read payloads looks into them and downloads them."""

    change_form_template = "admin/roost/artifact/change_form.html"
    list_display = ("name", "item", "version", "kind", "bytes", "hash", "created")
    list_filter = ("kind",)
    sortable_by = ()
    item_ordering = ("-version", "name")
    search_help_text = _("A work item's or an artifact's id, whole.")
    find_by_id = ("id", "work_item_id")
    secret_fields = ("metadata",)
    fields = ("name", "item", "version", "kind", "content_type", "bytes", "content", "created", "shown_metadata")
    shown_metadata = json_column("metadata", _("metadata"))

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the bytes."""
        pages = {"download": self.download_view, "picture": self.picture_view, "link": self.link_view}
        return [
            *(
                path(f"<uuid:artifact>/{name}/", self.admin_site.admin_view(view), name=f"roost_artifact_{name}")
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Offer the bytes to those who may read them."""
        shown = super().get_list_display(request)
        return [*shown, "download"] if may_read_payload(request) else shown

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Say whether the page shows a preview; it is read when the page is drawn, with no transaction held."""
        context["reads_payload"] = may_read_payload(request)
        context["links_are_served"] = links.are_served()
        return super().render_change_form(request, context, *args, **options)

    def download_view(self, request: HttpRequest, artifact: uuid.UUID) -> HttpResponseBase:
        """Hand out the file, or the part of it that is asked for."""
        found = self._readable(request, artifact)
        if isinstance(found, HttpResponse):
            return found
        try:
            return attached(request, found, found.blob.path)
        except OutOfRange as error:
            return HttpResponse(status=416, headers={"Content-Range": error.content_range})
        except (CorruptArtifact, StorageUnavailable) as error:
            log.warning("the artifact %s cannot be downloaded", found.pk, exc_info=error)
            self.message_user(
                request, _("The artifact storage does not give the file. The log says why."), messages.ERROR
            )
            return HttpResponseRedirect(reverse("admin:roost_artifact_change", args=[found.pk]))

    def picture_view(self, request: HttpRequest, artifact: uuid.UUID) -> HttpResponseBase:
        """Hand out a picture that the preview shows, as what its bytes say it is; nothing else."""
        found = self._readable(request, artifact)
        if isinstance(found, HttpResponse):
            return found
        try:
            picture = picture_of(found, found.blob.path)
            if picture is not None:
                return attached(request, found, found.blob.path, content_type=picture.content_type)
        except (CorruptArtifact, StorageUnavailable, OutOfRange) as error:
            log.warning("the picture %s cannot be shown", found.pk, exc_info=error)
        raise Http404("There is no picture to show.")

    def link_view(self, request: HttpRequest, artifact: uuid.UUID) -> HttpResponseBase:
        """Show an address from which anybody downloads the file for a while; `seconds` says how long."""
        found = self._readable(request, artifact)
        if isinstance(found, HttpResponse):
            return found
        if not links.are_served():
            raise Http404("No address of this product hands out files by links.")
        try:
            link = links.make(found, Caller.of_user(request.user), _seconds(request.GET.get("seconds", "")))
        except InvalidInput as error:
            self.message_user(request, translated(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:roost_artifact_change", args=[found.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("A link to the file"),
            "opts": self.opts,
            "media": self.media,
            "original": found,
            "address": links.address(request, link),
            "until": display.moment(link.expires_at),
            "lives": [(seconds, words) for seconds, words in LIVES if seconds <= links.longest()],
        }
        headers = {"Cache-Control": "no-store"}
        return TemplateResponse(request, "admin/roost/artifact/link.html", context, headers=headers)

    def _readable(self, request: HttpRequest, artifact: uuid.UUID) -> Artifact | HttpResponseNotAllowed:
        """Return the file for somebody who may read it, or that the method is none. Raises what is no file."""
        if not self.has_view_permission(request) or not may_read_payload(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        found: Artifact | None = self.get_queryset(request).select_related("blob").filter(pk=artifact).first()
        if found is None:
            raise Http404(f"There is no artifact {artifact}.")
        return found

    @admin.display(description=_("download"))
    def download(self, row: Artifact) -> SafeString:
        """Link the bytes."""
        url = reverse("admin:roost_artifact_download", args=[row.pk])
        words = _("Download")
        return format_html('<a href="{}" download>{}<span class="visually-hidden"> {}</span></a>', url, words, row.name)

    @admin.display(description=_("work item"))
    def item(self, row: Artifact) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("size"))
    def bytes(self, row: Artifact) -> str:
        """Show the size with its unit."""
        return display.size(row.size)

    @admin.display(description=_("sha256"))
    def hash(self, row: Artifact) -> SafeString:
        """Show the beginning of the content's hash; the page of the file has all of it."""
        return format_html('<code class="roost-id" title="{}">{}…</code>', row.sha256, row.sha256[:SHORT_HASH])

    @admin.display(description=_("sha256"))
    def content(self, row: Artifact) -> SafeString:
        """Show the content's hash."""
        return format_html('<code class="roost-id">{}</code>', row.sha256)

    @admin.display(description=_("created at"))
    def created(self, row: Artifact) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)


def _seconds(text: str) -> int | None:
    """Return the seconds that are asked for, None where nothing is; 0, which no link is good for, for no number."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


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
