"""Tokens of the API in the admin: made, exchanged and revoked here, and shown once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from console.admin.base import may, moment_column
from console.admin.configuration import VersionedForm
from console.admin.operated import OperatedForm
from console.admin.secretive import SecretiveAdmin
from runtime import tokens
from runtime.models import ApiToken
from runtime.operations.tokens import CreateToken, IssuedToken, revoke_token, rotate_token
from runtime.queries.tokens import is_over, standing
from runtime.store import work_database

SECRETS = ("token_hash", "previous_hash")
ROTATE, REVOKE = "rotate", "revoke"
SHOWN = (
    *("begins", "standing", "said_scopes", "said_namespaces", "expires", "used", "previous"),
    *("revoked", "revoked_by", "made", "created_by", "note"),
)
NEW = ("name", "scopes", "namespaces", "expires_at", "note")
SCOPES = {
    "read": _("see items and all other tables, without what is in them"),
    "payload": _("see what products and agents put in"),
    "enqueue": _("enqueue work"),
    "operate": _("ask for the verbs on items, and have recorded calls forgotten"),
    "answer": _("approve, reject and respond"),
    "signal": _("send signals"),
    "configure": _("set limits, schedules, triggers, webhooks and capacities, and have workers drain"),
    "hold": _("put items on legal hold, and lift it"),
    "upload": _("give files to items"),
    "import": _("import exported runs"),
}
"""What each scope is good for, in words."""


class NewTokenForm(OperatedForm):
    """A token that its operation would make."""

    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=[(name, format_lazy("{} · {}", name, SCOPES[name])) for name in tokens.SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What it may do. You can give only what you have yourself."),
    )
    namespaces = forms.CharField(
        label=_("Namespaces"), initial="default", help_text=_("With commas between them; * stands for all.")
    )

    class Meta:
        model = ApiToken
        fields = NEW

    def clean_namespaces(self) -> list[str]:
        """Return the names."""
        return [name.strip() for name in self.cleaned_data["namespaces"].split(",") if name.strip()]

    def operation(self, by: Any = None) -> CreateToken:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        said = {name: self.cleaned_data[name] for name in NEW}
        return CreateToken(said.pop("name"), **said, by=by or self.by, using=work_database())


class TokenForm(VersionedForm):
    """What may be done with a token that there is."""

    move = forms.ChoiceField(
        label=_("Do"),
        required=False,
        choices=[
            ("", _("nothing")),
            (ROTATE, _("exchange it for a new one; the old one is good for a day")),
            (REVOKE, _("revoke it, at once and for good")),
        ],
    )

    class Meta:
        model = ApiToken
        fields = ()


@admin.register(ApiToken)
class TokenAdmin(SecretiveAdmin):
    """Who may use the API without a session. A token is shown when it is made; what is kept is its hash."""

    form = TokenForm
    never_shown = SECRETS
    list_display = ("name", "begins", "standing", "said_scopes", "said_namespaces", "expires", "used")
    search_help_text = _("A token's whole name.")
    find_by = ("name",)

    expires = moment_column("expires_at", _("expires at"))
    used = moment_column("last_used_at", _("last used"))
    previous = moment_column("previous_until", _("the one before is good until"))
    revoked = moment_column("revoked_at", _("revoked at"))
    made = moment_column("created_at", _("made at"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Ask in the same query whose time is over."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(over=is_over())
        return rows

    @admin.display(description=_("token"))
    def begins(self, row: ApiToken) -> str:
        """Show how it begins."""
        return f"roost_{row.prefix}…"

    @admin.display(description=_("standing"))
    def standing(self, row: Any) -> str:
        """Show whether it is good."""
        return standing(row.revoked_at, over=row.over)

    @admin.display(description=_("scopes"))
    def said_scopes(self, row: ApiToken) -> str:
        """Show what it may do."""
        return ", ".join(row.scopes)

    @admin.display(description=_("namespaces"))
    def said_namespaces(self, row: ApiToken) -> str:
        """Show what it reaches."""
        return ", ".join(row.namespaces)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Ask for what a new token is to be; show what an old one is."""
        return NEW if obj is None else ("name", *SHOWN, "move", "shown_version")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Keep a token that exists as it is."""
        return () if obj is None else ("name", *SHOWN)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form for a new token, or an old one."""
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        asked = type("NewTokenForm", (NewTokenForm,), {"by": request.user})
        return super().get_form(request, obj, change, **{**kwargs, "form": asked})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for the permission to add."""
        return may(request, "add", self.model)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: a revoked token stays, so that history's names can be looked up."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make a token, or do what was asked with one."""
        if not change:
            self._issue(request, obj, form.operation().execute())
        elif form.cleaned_data["move"] == ROTATE:
            self._issue(request, obj, rotate_token(obj.name, by=request.user, using=work_database()))
        elif form.cleaned_data["move"] == REVOKE:
            revoke_token(obj.name, by=request.user, using=work_database())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token, once."""
        return self._show(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Show a token that was exchanged, once."""
        issued = request.__dict__.get("roost_issued")
        return super().response_change(request, obj) if issued is None else self._show(request, obj)

    def _issue(self, request: HttpRequest, obj: Any, issued: IssuedToken) -> None:
        obj.pk = issued.row.pk
        request.__dict__["roost_issued"] = issued

    def _show(self, request: HttpRequest, obj: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("The token, shown this once"),
            "opts": self.opts,
            "media": self.media,
            "name": obj.name,
            "token": request.__dict__["roost_issued"].text,
        }
        headers = {"Cache-Control": "no-store"}
        return TemplateResponse(request, "admin/roost/apitoken/issued.html", context, headers=headers)
