"""Narrow the list of work items: by engine and namespace, by age, and to what somebody should look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from runtime import clock, reach, registry
from runtime.choices import PARKED, Reason, State
from runtime.queries import windows
from runtime.queries.windows import DEFAULT_NAMESPACE, WINDOW, first_id, newest
from runtime.store import work_database

SUSPECT_DEATHS = 2
AGES = {
    "hour": dt.timedelta(hours=1),
    "day": dt.timedelta(days=1),
    "week": dt.timedelta(days=7),
    "month": dt.timedelta(days=30),
}
OLDER = "older_"


class EngineFilter(admin.SimpleListFilter):
    """Narrow by engine: the registered ones, since asking the table would read it through."""

    title = _("engine")
    parameter_name = "engine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """Return the engines' names."""
        names = {*registry.names(), *filter(None, [self.value()])}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        return queryset.filter(engine=self.value()) if self.value() else queryset


class NamespaceFilter(admin.SimpleListFilter):
    """Narrow by namespace; not offered where everything is in the default one."""

    title = _("namespace")
    parameter_name = "namespace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """Return the namespaces that items are in, as far as an index names them quickly."""
        reached = reach.of(request.user)
        names = {*(windows.namespaces() if reached is None else reached), *filter(None, [self.value()])}
        if len(names) <= 1:
            return []
        default = _("default (among the newest %(count)s)") % {"count": f"{WINDOW:,}"}
        return [(name, str(default) if name == DEFAULT_NAMESPACE else name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        wanted = self.value()
        if not wanted:
            return queryset
        if wanted == DEFAULT_NAMESPACE:  # which the index leaves out
            return newest(queryset).rows.filter(namespace=wanted)
        # SQLite has to be told that the index has all that is wanted.
        return queryset.filter(namespace=wanted).exclude(namespace=DEFAULT_NAMESPACE)


class AgeFilter(admin.SimpleListFilter):
    """Narrow by when an item was made, which its id tells."""

    title = _("age")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return the ages."""
        return [
            ("hour", _("made within an hour")),
            ("day", _("made within a day")),
            ("week", _("made within a week")),
            ("older_day", _("older than a day")),
            ("older_week", _("older than a week")),
            ("older_month", _("older than 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        wanted = self.value() or ""
        span = AGES.get(wanted.removeprefix(OLDER))
        if span is None:
            return queryset
        edge = first_id(clock.now(work_database()) - span)
        return queryset.filter(pk__lt=edge) if wanted.startswith(OLDER) else queryset.filter(pk__gte=edge)


class AttentionFilter(admin.SimpleListFilter):
    """Narrow to what somebody should look at."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """Return the kinds of attention."""
        return [
            ("dead", _("dead letters nobody has seen")),
            ("retry", _("failing, will be retried")),
            ("parked", _("parked for a resource or limit")),
            ("held", _("held: no worker has their code")),
            ("suspect", _("lost two workers or more in a row")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        narrowed = {
            "dead": Q(state=State.FAILED, acknowledged_at=None),
            "retry": Q(state=State.QUEUED, attempt__gt=0),
            "parked": Q(state=State.QUEUED, reason__in=PARKED),
            "held": Q(state=State.PAUSED, reason=Reason.HELD),
            "suspect": Q(deaths__gte=SUSPECT_DEATHS) & ~Q(state__in=[State.DONE, State.CANCELLED]),
        }.get(self.value() or "")
        return queryset if narrowed is None else queryset.filter(narrowed)
