"""What the tables have in common whose rows are set and removed by operations, under names that stay."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.http import HttpRequest

from console.admin.base import SHOWN, may
from console.admin.configuration import ConfigurationAdmin, VersionedForm
from runtime.exceptions import Forbidden, RoostError
from runtime.operations.base import require_reach
from runtime.sentences import translated


class OperatedForm(VersionedForm):
    """A form that says what its operation would accept. `aliases` name the field for an argument of the operation.

    `by` is who asks. Out of their reach no row is looked for: that there is one of that name would be told.
    """

    aliases: ClassVar[dict[str, str]] = {}
    by: Any = None

    def clean_namespace(self) -> str:
        """Refuse a namespace out of reach, before anything there is looked at."""
        namespace: str = self.cleaned_data["namespace"]
        try:
            require_reach(self.by, namespace)
        except Forbidden as error:
            raise forms.ValidationError(translated(error)) from None
        return namespace

    def clean(self) -> dict[str, Any]:
        """Refuse what the operation refuses, at the field that it names."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        try:
            self.operation().check()
        except RoostError as error:
            field = getattr(error, "field", "")
            name = self.aliases.get(field, field)
            self.add_error(name if name in self.fields else None, translated(error))
        return cleaned

    @abstractmethod
    def operation(self, by: Any = None) -> Any:
        """Return the operation that does what the form says, with `check` and `execute`. Raises `InvalidInput`."""

    def said(self, name: str) -> Any:
        """Return what was said, or what the row has where it cannot be changed."""
        return self.cleaned_data.get(name) or getattr(self.instance, name)

    @property
    def shown(self) -> int | None:
        """The version of the row that was edited, None for a new one."""
        return None if self.instance._state.adding else self.cleaned_data.get("shown_version")


class OperatedAdmin(ConfigurationAdmin):
    """A table whose every edit goes through an operation. `named` are the columns that a row keeps for ever."""

    named: ClassVar[tuple[str, ...]] = ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form who asks."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"by": request.user})

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Show contents redacted, but to those who may edit them."""
        found = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return found
        instead = {name: SHOWN + name for name in self.secret_fields if hasattr(self, SHOWN + name)}
        return [
            (name, {**options, "fields": [instead.get(field, field) for field in options["fields"]]})
            for name, options in found
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Keep the name of a row that exists."""
        shown = tuple(super().get_readonly_fields(request, obj))
        return (*self.named, *shown) if obj is not None else shown

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for the permission to add."""
        return may(request, "add", self.model)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for the permission to delete."""
        return may(request, "delete", self.model)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do what the form says, and remember which row that made."""
        obj.pk = form.operation(by=request.user).execute().pk
