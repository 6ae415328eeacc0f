"""Configuration in the admin of which some columns are shown to nobody."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from console.admin import display
from console.admin.base import may, moment_column
from console.admin.configuration import ConfigurationAdmin
from console.admin.operated import OperatedForm
from console.callers import Caller
from runtime.queries.targets import TargetView
from runtime.queries.webhooks import WebhookView

EDITED = ("enabled", "note")
"""What may be changed here; everything else, and the secrets, by commands and operations."""


class SecretiveForm(OperatedForm):
    """What may be changed of such a row. Turning it off is always possible; that its engine is gone stands there."""

    aliases: ClassVar[dict[str, str]] = {"engine": "enabled"}

    def edits(self) -> dict[str, Any]:
        """Return what the operation is to be given."""
        return {"row_version": self.shown, **{field: self.cleaned_data[field] for field in EDITED}}


class SecretiveAdmin(ConfigurationAdmin):
    """Rows whose columns `never_shown` stay in the database."""

    never_shown: ClassVar[tuple[str, ...]] = ()

    @method_decorator([sensitive_post_parameters(), sensitive_variables()])
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Keep what is posted, and the row with its secrets, out of error reports."""
        return super().changeform_view(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the secrets in the database."""
        return super().get_queryset(request).defer(*self.never_shown)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse to filter by a secret: the number of hits would tell it, letter by letter."""
        if lookup.split(LOOKUP_SEP, maxsplit=1)[0] in self.never_shown:
            return False
        return super().lookup_allowed(lookup, value, request)


class DeclaredAdmin(SecretiveAdmin):
    """Such rows that may be edited in part and removed, and below their list what `setting` declares."""

    setting: ClassVar[str]
    change_list_template = "admin/roost/change_list_declared.html"

    changed = moment_column("changed_at", _("last changed at"))

    @admin.display(description=_("last work item"))
    def item(self, row: Any) -> SafeString | str:
        """Link the last item."""
        return display.item_link(row.last_item)

    @abstractmethod
    def declared(self) -> Sequence[WebhookView | TargetView]:
        """Return what the setting declares."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """List the rows, and what the setting declares."""
        caller = Caller.of_user(request.user)
        declared = [one for one in self.declared() if caller.reaches(one.values["namespace"])]
        context = {"declared": declared, "setting": self.setting}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for the permission to delete such rows."""
        return may(request, "delete", self.model)
