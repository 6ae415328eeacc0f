"""Resources and claims in the admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.configuration import ConfigurationAdmin
from console.admin.operated import OperatedForm
from console.admin.row_buttons import ItemRowsAdmin
from runtime.choices import State
from runtime.models import Resource, ResourceClaim
from runtime.operations.resource_capacity import SetCapacity
from runtime.store import work_database


class ResourceForm(OperatedForm):
    """How many units of a resource there are."""

    class Meta:
        model = Resource
        fields = ("capacity",)

    def operation(self, by: Any = None) -> SetCapacity:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        row, capacity = self.instance, self.cleaned_data["capacity"]
        return SetCapacity(
            row.key, capacity, namespace=row.namespace, by=by, row_version=self.shown, using=work_database()
        )


@admin.register(Resource)
class ResourceAdmin(ConfigurationAdmin):
    """Named locks, and how many items hold or want each. Its capacity is edited here; waiters that fit are woken."""

    form = ResourceForm
    readonly_fields = ("key", "namespace", "held_by", "wanted_by")

    list_display = ("key", "namespace", "capacity", "held_by", "wanted_by")
    ordering = ("namespace", "key")
    search_help_text = _("A resource's whole key.")
    find_by = ("key",)
    fields = ("key", "namespace", "capacity", "shown_version", "held_by", "wanted_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count holders and waiters in the same query."""
        held = Count("claims", filter=Q(claims__held=True))
        wanted = Count("claims", filter=Q(claims__held=False))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(holders=held, waiters=wanted)
        return rows

    @admin.display(description=_("held by"))
    def held_by(self, row: Any) -> SafeString:
        """Link the claims that hold it."""
        return _claims_link(row, row.holders, held=True)

    @admin.display(description=_("wanted by"))
    def wanted_by(self, row: Any) -> SafeString:
        """Link the claims that wait for it."""
        return _claims_link(row, row.waiters, held=False)


@admin.register(ResourceClaim)
class ResourceClaimAdmin(ItemRowsAdmin):
    """Which item holds or wants which resource; and the verbs that free it."""

    row_verbs = ("release", "release_claim")
    list_display = ("id", "resource", "item", "standing", "mode", "units", "scope", "since")
    list_filter = ("held", "mode", "scope")
    list_select_related = ("resource", "work_item")
    search_help_text = _("A resource's key or a work item's id, whole.")
    find_by = ("resource__key",)
    find_by_id = ("work_item_id",)
    fields = ("resource", "item", "standing", "mode", "units", "scope", "epoch", "since")

    def fitting(self, row: ResourceClaim) -> Iterator[tuple[str, dict[str, str]]]:
        """Offer to free a resource: by its claim, or by the lease of an item that runs and may be using it."""
        if not row.held:
            return
        if row.work_item.state == State.RUNNING:
            yield "release", {}
        else:
            yield "release_claim", {"resource": row.resource.key}

    @admin.display(description=_("work item"))
    def item(self, row: ResourceClaim) -> SafeString | str:
        """Link the item."""
        return display.item_link(row.work_item_id)

    @admin.display(description=_("standing"))
    def standing(self, row: ResourceClaim) -> str:
        """Say whether it is held or wanted."""
        return str(_("held") if row.held else _("wanted"))

    @admin.display(description=_("since"))
    def since(self, row: ResourceClaim) -> SafeString | str:
        """Show since when it is held, or wanted."""
        return display.moment(row.acquired_at if row.held else row.created_at)


def _claims_link(row: Resource, count: int, *, held: bool) -> SafeString:
    url = display.list_url("resourceclaim", resource__id__exact=row.pk, held__exact=int(held))
    return format_html('<a href="{}">{}</a>', url, count)
