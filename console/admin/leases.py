"""Leases in the admin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import json_column, may_view
from console.admin.row_buttons import ItemRowsAdmin
from console.item_actions import ACTIONS
from runtime import clock
from runtime.choices import State
from runtime.models import Lease, WorkItem
from runtime.store import work_database

RELEASE = next(action for action in ACTIONS if action.name == "release")


class OverFilter(admin.SimpleListFilter):
    """Narrow to leases that are over and wait for a sweep."""

    title = _("time")
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return the one choice."""
        return [("over", _("expired, not swept yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        if self.value() != "over":
            return queryset
        return queryset.filter(expires_at__lt=clock.now(work_database()), revoked_at=None)


@admin.register(Lease)
class LeaseAdmin(ItemRowsAdmin):
    """Who owns which running item, until when; and the verb that takes it away."""

    row_verbs = (RELEASE.name,)
    actions = ("release_items",)

    list_display = ("name", "owner", "epoch", "acquired", "expires", "revoked", "alone")
    list_filter = (OverFilter, ("revoked_at", admin.EmptyFieldListFilter), "alone")
    ordering = ("expires_at", "pk")
    search_help_text = _("A work item's or a worker's whole id.")
    find_by_id = ("work_item_id", "worker_id")
    secret_fields = ("progress",)
    fields = ("item", "owner", "epoch", "acquired", "expires", "revoked", "alone", "shown_progress")
    shown_progress = json_column("progress", _("progress"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Fetch the workers by a query of their own: a join would hide leases whose worker's row is gone."""
        return super().get_queryset(request).prefetch_related("worker")

    def fitting(self, row: Lease) -> Iterator[tuple[str, dict[str, str]]]:
        """Offer to release a lease that is good."""
        if row.revoked_at is None and row.work_item.state == State.RUNNING:
            yield RELEASE.name, {}

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may release leases of items, which he has to see."""
        return RELEASE.allowed(request.user) and may_view(request, WorkItem)

    @admin.action(description=format_lazy("{title}…", title=RELEASE.title), permissions=["release"])
    def release_items(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Ask whether to release the leases of all that were chosen."""
        items: Any = self.admin_site.get_model_admin(WorkItem)
        rows = items.get_queryset(request).filter(pk__in=queryset.order_by().values("pk"))
        answer: HttpResponse = items.confirm(request, RELEASE, rows)
        return answer

    @admin.display(description=_("item"), ordering="work_item_id")
    def name(self, row: Lease) -> SafeString:
        """Show both ends of the item's id."""
        return format_html('<span class="roost-id" title="{0}">{1}</span>', row.pk, display.short_id(row.pk))

    @admin.display(description=_("work item"))
    def item(self, row: Lease) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("worker"))
    def owner(self, row: Lease) -> SafeString | str:
        """Link the worker by name, or show its id when its row is gone."""
        return display.worker_link(row.worker_id, getattr(row, "worker", None))

    @admin.display(description=_("acquired at"), ordering="acquired_at")
    def acquired(self, row: Lease) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.acquired_at)

    @admin.display(description=_("expires at"), ordering="expires_at")
    def expires(self, row: Lease) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.expires_at)

    @admin.display(description=_("revoked at"), ordering="revoked_at")
    def revoked(self, row: Lease) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.revoked_at)
