"""What the tables have in common that are configuration: an operator edits them, with Django's permission for it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from console.admin.base import ReadOnlyAdmin, may
from runtime.exceptions import Conflict, Forbidden
from runtime.sentences import translated

TOO_LATE = _("Somebody else changed this meanwhile. Look at it again.")


class VersionedForm(forms.ModelForm):  # type: ignore[type-arg] # not generic when it runs
    """A form that remembers which version of the row it showed, and edits no other."""

    shown_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "shown_version" in self.fields:
            self.fields["shown_version"].initial = self.instance.row_version if self.instance.pk else None
        for field in self.fields.values():
            if isinstance(field.widget, forms.SplitDateTimeWidget):
                # The admin says "Date:" and "Time:" beside them, and not that these are labels.
                for part, name in zip(field.widget.widgets, (_("date"), _("time of day")), strict=True):
                    part.attrs["aria-label"] = f"{field.label}: {name}"

    def clean(self) -> dict[str, Any]:
        """Refuse an edit of what somebody else changed meanwhile."""
        cleaned: dict[str, Any] = super().clean() or {}
        shown = cleaned.get("shown_version")
        if self.instance.pk and shown is not None and shown != self.instance.row_version:
            raise forms.ValidationError(TOO_LATE)
        return cleaned


class ConfigurationAdmin(ReadOnlyAdmin):
    """A table that people edit, each edit by an operation that its form knows; Django's log keeps who did."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for the permission to change."""
        return may(request, "change", self.model)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do what the form says."""
        form.operation(by=request.user).execute()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer an edit that came too late, or that is not allowed, with a message."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (Conflict, Forbidden) as error:
            messages.error(request, translated(error))
            return HttpResponseRedirect(request.get_full_path())
