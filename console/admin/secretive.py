"""Configuration in the admin of which some columns are shown to nobody."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

from console.admin.configuration import ConfigurationAdmin


class SecretiveAdmin(ConfigurationAdmin):
    """Rows that may be edited in part and removed, whose columns `never_shown` stay in the database."""

    never_shown: ClassVar[tuple[str, ...]] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the secrets in the database."""
        return super().get_queryset(request).defer(*self.never_shown)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse to filter by a secret: the number of hits would tell it, letter by letter."""
        if lookup.split(LOOKUP_SEP, maxsplit=1)[0] in self.never_shown:
            return False
        return super().lookup_allowed(lookup, value, request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for the permission to delete such rows."""
        return request.user.has_perm(f"roost.delete_{self.model._meta.model_name}")
