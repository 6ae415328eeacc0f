"""What all of Roost's tables have in common in the admin: nobody edits them, and large ones stay quick."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from console.admin import display
from runtime import reach
from runtime.queries.redaction import sounds_secret
from runtime.queries.windows import Figure, estimated
from runtime.queries.within import RULES, namespace_column, narrowed
from runtime.store import work_database

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

COUNTED = 10_000
"""Rows that a list counts at most; what lies beyond is found by filters."""

ITEM_LOOKUP = "work_item__id__exact"
GUESSING = frozenset({"contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex", "iregex"})
"""Lookups that find a part of a value, and so one that is not shown too. They read a large table through, and a regular
expression can be written so that it never ends."""
NEWEST_FIRST = (("-id",), ("-pk",))
SHOWN = "shown_"
"""Prefix of the method that shows a JSON column."""
HIDDEN = "hidden_"
"""Prefix of the method that stands in its place for those who may not read it."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # not generic when it runs
    """Pages of a list that may have millions of rows: counts no further than `COUNTED`."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, `COUNTED` when there are more."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[:COUNTED].count()
        return len(rows)


class LeanChangeList(ChangeList):
    """A list that leaves the heavy columns in the database.

    Where there are more rows than are counted, `beyond` says about how many, and `older_url` on the last page leads to
    those that follow by the id of the last row, so that no page has to step over the rows of those before it.
    """

    beyond: Figure | None = None
    older_url = ""

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, and where it is the last of those that are counted, what lies beyond."""
        super().get_results(request)
        if self.result_count < COUNTED:
            return
        self.beyond = estimated(self.queryset, self.result_count)
        rows = list(self.result_list)
        if rows and self.page_num == self.paginator.num_pages and self.queryset.query.order_by in NEWEST_FIRST:
            self.result_list = rows
            self.older_url = self.get_query_string({"id__lt": rows[-1].pk}, [PAGE_VAR])

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the rows without their heavy columns."""
        heavy = {*getattr(self.model_admin, "secret_fields", ())}.difference(map(str, self.list_display))
        return super().get_queryset(request, exclude_parameters).defer(*heavy)


class ReadOnlyAdmin(_ModelAdmin):
    """A table that is looked at. Rows change through operations only, so there is no add, change or delete.

    Of every table whoever looks gets the rows of the namespaces that they reach: lists, searches, pages, choices and
    exports all read `get_queryset`.

    `secret_fields` hold what products and agents put in, and errors that may quote it: they are shown, and may be
    filtered by, only with the permission roost.view_payload; else the page says that they are hidden, as it does in the
    place of `secret_methods`. `find_by` and `find_by_id` name the columns that a search compares, whole values only:
    each should have an index, since a search must never read a large table through. `item_ordering` is the order of one
    item's rows, the one that the index which finds them has; `sortable_by` names columns with an index.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ()
    secret_methods: ClassVar[tuple[str, ...]] = ()
    find_by: ClassVar[tuple[str, ...]] = ()
    find_by_id: ClassVar[tuple[str, ...]] = ()
    item_ordering: ClassVar[tuple[str, ...]] = ()

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    empty_value_display = "-"

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["roost/admin.css"]}

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        for name in (*self.secret_fields, *self.secret_methods):
            setattr(self, HIDDEN + name, _hidden_column(self, name))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows are made by operations."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for the permission to view, or to change; of what concerns the whole installation, for reach to all."""
        return may(request, "view", self.model) or may(request, "change", self.model)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: rows are changed by operations."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: history is pruned, never deleted by hand."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read from the database that Roost works on, and no more than what the user reaches."""
        rows = super().get_queryset(request).using(work_database())
        return narrowed(rows, reach.of(request.user))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Head the list with what it lists: there is nothing to select."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def get_ordering(self, request: HttpRequest) -> Any:
        """Order one item's rows as their index does: by the primary key, an old item's would be searched for."""
        of_one_item = request.GET.get("q") or ITEM_LOOKUP in request.GET
        return self.item_ordering if self.item_ordering and of_one_item else super().get_ordering(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list without heavy columns."""
        return LeanChangeList

    def get_list_display(self, request: HttpRequest) -> Any:
        """Say of columns that the user may not read that they are hidden."""
        return self._hide(request, super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Say of what the user may not read that it is hidden."""
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found
        return [(name, {**options, "fields": self._hide(request, options["fields"])}) for name, options in found]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Add what stands in the place of what is hidden."""
        shown = tuple(super().get_readonly_fields(request, obj))
        return shown if may_read_payload(request) else (*shown, *self._hidden().values())

    def _hide(self, request: HttpRequest, fields: Any) -> list[Any]:
        if may_read_payload(request):
            return list(fields)
        hidden = self._hidden()
        hidden |= {SHOWN + name: instead for name, instead in hidden.items()}
        return [hidden.get(field, field) if isinstance(field, str) else field for field in fields]

    def _hidden(self) -> dict[str, str]:
        """Name what stands in the place of each column and method that is hidden."""
        return {name: HIDDEN + name for name in (*self.secret_fields, *self.secret_methods)}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse to filter by parts of values, and by what is not shown: the number of hits would tell it."""
        first, *path = lookup.split(LOOKUP_SEP)
        unread = request is None or not may_read_payload(request)
        if not GUESSING.isdisjoint(path) or (first in self.secret_fields and (unread or any(map(sounds_secret, path)))):
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the columns that a search compares; with any, Django shows the search field."""
        return (*self.find_by, *self.find_by_id)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by whole ids and keys."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = _uuid(term)
        wanted = Q(pk__in=[])
        for column in self.find_by_id if found else self.find_by:
            wanted |= Q((column, found or term))
        return queryset.filter(wanted), False


def json_column(column: str, description: Any) -> Callable[[Any, Model], SafeString]:
    """Return an admin method, to be named `shown_<column>`, that shows a JSON column indented, escaped and bounded."""

    @admin.display(description=description)
    def shown(self: Any, row: Model) -> SafeString:
        return display.pretty(getattr(row, column))

    return shown


def _hidden_column(model_admin: ReadOnlyAdmin, name: str) -> Callable[[Model], SafeString]:
    """Return an admin method that says in the place of a column or a method that it is hidden."""
    shown = getattr(model_admin, SHOWN + name, getattr(model_admin, name, None))
    field: Any = model_admin.opts.get_field(name) if shown is None else None

    @admin.display(description=getattr(shown, "short_description", None) or field.verbose_name)
    def hidden(_row: Model) -> SafeString:
        return display.hidden()

    return hidden


def moment_column(column: str, description: Any) -> Callable[[Any, Model], SafeString | str]:
    """Return an admin method that shows a time as all of Roost's pages do."""

    @admin.display(description=description)
    def shown(self: Any, row: Model) -> SafeString | str:
        return display.moment(getattr(row, column))

    return shown


def list_column(column: str, description: Any) -> Callable[[Any, Model], str]:
    """Return an admin method that shows a list of words as people write one."""

    @admin.display(description=description, empty_value="-")
    def shown(self: Any, row: Model) -> str:
        return ", ".join(map(str, getattr(row, column)))

    return shown


def may_read_payload(request: HttpRequest) -> bool:
    """Say whether the user may read what products and agents put in."""
    return request.user.has_perm(display.VIEW_PAYLOAD)


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Say whether the user may see rows of that table."""
    return may(request, "view", model)


def may(request: HttpRequest, action: str, model: type[Model]) -> bool:
    """Say whether the user may do that to rows of that table: to those in reach, if they are in namespaces.

    Rows that are in none, and changes of rules for the whole installation, are for who reaches all namespaces.
    """
    if not request.user.has_perm(f"roost.{action}_{model._meta.model_name}"):
        return False
    whole = namespace_column(model) is None or (model in RULES and action != "view")
    return not whole or reach.of(request.user) is None


def _uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None
