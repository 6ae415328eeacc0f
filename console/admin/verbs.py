"""Offer the verbs in the admin: as list actions, as buttons on a row's page, and as the page that confirms both.

Nothing changes on GET. A list action and a button both POST to the confirm page, which says what will change and what
will be skipped and why; its form carries the versions that were shown, and the id of the click that confirms them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.action_fields import typed
from console.actions import AT_ONCE, Confirmation, OperatorAction, Result, read_confirmations
from console.admin.base import ReadOnlyAdmin, may_read_payload
from console.logged import log_results
from runtime.exceptions import InvalidInput
from runtime.operations.base import CLICK, MAX_REASON
from runtime.sentences import translated

TOLD = 5
"""Skipped rows whose reason a message tells one by one."""
LISTED = 50
"""Rows of each kind that the confirm page lists."""


class VerbAdmin(ReadOnlyAdmin):
    """Rows of which people may ask something. Permission is the operations' to check; this hides what would fail."""

    verbs: ClassVar[tuple[OperatorAction, ...]] = ()
    confirm_template = "roost/confirm.html"
    confirm_rows: ClassVar[str] = "roost/confirm_items.html"
    skipped_rows: ClassVar[str] = "roost/skipped_items.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the confirm page."""
        view = self.admin_site.admin_view(self.verb_view)
        name = f"roost_{self.opts.model_name}_verb"
        return [path("verb/<slug:verb>/", view, name=name), *super().get_urls()]

    def verb_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Show what a verb would do to the rows a form names; do it when the form says that this was confirmed."""
        action = next((one for one in self.verbs if one.name == verb), None)
        if action is None:
            raise Http404(f"There is no verb {verb!r}.")
        if not action.allowed(request.user) or not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            confirmations = read_confirmations(request.POST.get("items", ""))
            if not action.bulk and len(confirmations) > 1:
                raise InvalidInput(_("Choose one: this is not done to several at once."), field="items")
        except InvalidInput as error:
            self.message_user(request, translated(error), messages.ERROR)
            return HttpResponseRedirect(self.way_back(request))
        if "confirmed" not in request.POST:
            return self.confirm(request, action, self._rows(request, confirmations))
        return self._carry_out(request, action, confirmations)

    def confirm(
        self, request: HttpRequest, action: OperatorAction, rows: QuerySet[Any], error: str = ""
    ) -> TemplateResponse:
        """Show the page that confirms a verb on these rows. Reads only."""
        found = list(self.to_confirm(rows)[: AT_ONCE + 1])
        verdicts = action.judge(found[:AT_ONCE], by=request.user)
        eligible = [verdict.row for verdict in verdicts if not verdict.skipped]
        skipped = [verdict for verdict in verdicts if verdict.skipped]
        context = {
            **self.admin_site.each_context(request),
            "title": action.title,
            "opts": self.opts,
            "media": self.media,
            "action": action,
            "action_url": reverse(f"admin:roost_{self.opts.model_name}_verb", args=[action.name]),
            "rows_template": self.confirm_rows,
            "skipped_template": self.skipped_rows,
            "eligible": eligible[:LISTED],
            "eligible_count": len(eligible),
            "eligible_more": max(0, len(eligible) - LISTED),
            "skipped": skipped[:LISTED],
            "skipped_count": len(skipped),
            "skipped_more": max(0, len(skipped) - LISTED),
            "at_once": AT_ONCE if len(found) > AT_ONCE else 0,
            "items": " ".join(str(Confirmation.of(row)) for row in eligible),
            "click": uuid.uuid4().hex,
            "back": self.way_back(request),
            "reason": request.POST.get("reason", ""),
            "typed": typed(action.asked(eligible or found[:1]), {**request.GET.dict(), **request.POST.dict()}),
            "max_reason": MAX_REASON,
            "reads_payload": may_read_payload(request),
            "error": error,
        }
        return TemplateResponse(request, self.confirm_template, context)

    def to_confirm(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with what the confirm page shows of them."""
        return rows

    def _carry_out(
        self, request: HttpRequest, action: OperatorAction, confirmations: Sequence[Confirmation]
    ) -> HttpResponse:
        reason, click = request.POST.get("reason", ""), click_of(request)
        rows = self._rows(request, confirmations)
        try:
            fields = action.asked(list(self.to_confirm(rows)))
            given = action.read(typed(fields, request.POST))
            results = action.carry_out(confirmations, by=request.user, reason=reason, values=given, click=click)
        except InvalidInput as error:
            return self.confirm(request, action, rows.all(), translated(error))
        if fields and all(result.skipped for result in results):
            # What was typed must not be lost.
            return self.confirm(request, action, rows.all(), results[0].skipped)
        log_results(request.user, self.model, action, results, reason=reason, click=click)
        self._tell(request, action, results)
        return HttpResponseRedirect(self.way_back(request))

    def _rows(self, request: HttpRequest, confirmations: Iterable[Confirmation]) -> QuerySet[Any]:
        return self.get_queryset(request).filter(pk__in=[one.subject for one in confirmations]).order_by("-pk")

    def _tell(self, request: HttpRequest, action: OperatorAction, results: Sequence[Result]) -> None:
        skipped = [result.skipped for result in results if result.skipped]
        changed = len(results) - len(skipped)
        if changed:
            text = _made(changed) if action.makes_new else self.changed_in_words(changed)
            told = text % {"verb": action.title, "count": changed}
            self.message_user(request, _with_links(told, results) if action.makes_new else told, messages.SUCCESS)
        if skipped:
            told = self.skipped_in_words(len(skipped)) % {"verb": action.title, "count": len(skipped)}
            parts = [told, *skipped[:TOLD]]
            if len(skipped) > TOLD:
                parts.append(_("And so on."))
            self.message_user(request, " ".join(parts), messages.WARNING)

    def changed_in_words(self, count: int) -> str:
        """Say that so many rows changed; the words take a `verb` and a `count`."""
        return ngettext("%(verb)s: %(count)d item changed.", "%(verb)s: %(count)d items changed.", count)

    def skipped_in_words(self, count: int) -> str:
        """Say that so many rows were skipped; the words take a `verb` and a `count`."""
        return ngettext("%(verb)s: %(count)d item skipped.", "%(verb)s: %(count)d items skipped.", count)

    def way_back(self, request: HttpRequest) -> str:
        """Return where the user came from: the page that the form names if it is one of Roost's, else the list."""
        wanted = request.POST.get("back") or request.get_full_path()
        ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
        of_roost = wanted.startswith(reverse("admin:app_list", args=[self.opts.app_label]))
        listing = reverse(f"admin:roost_{self.opts.model_name}_changelist")
        return wanted if ours and of_roost and "/verb/" not in wanted else listing


def offer(admin_class: type[VerbAdmin]) -> type[VerbAdmin]:
    """Give an admin class a list action for each of its verbs, hidden from users who may not ask for it."""
    for action in admin_class.verbs:
        setattr(admin_class, f"has_{action.name}_permission", _permission_method(action))
    admin_class.actions = [_list_action(action) for action in admin_class.verbs if action.bulk]
    return admin_class


def _permission_method(action: OperatorAction) -> Callable[[VerbAdmin, HttpRequest], bool]:
    def has_permission(self: VerbAdmin, request: HttpRequest) -> bool:
        return action.allowed(request.user)

    return has_permission


def _list_action(action: OperatorAction) -> Callable[[VerbAdmin, HttpRequest, QuerySet[Any]], HttpResponse]:
    @admin.action(description=format_lazy("{title}…", title=action.title), permissions=[action.name])
    def ask(model_admin: VerbAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return model_admin.confirm(request, action, queryset)

    ask.__name__ = f"{action.name}_items"
    return ask


def click_of(request: HttpRequest) -> str:
    """Return the id of the click that confirms: the form's, or a new one."""
    given = request.POST.get("click", "")
    return given if CLICK.fullmatch(given) else uuid.uuid4().hex


def _made(count: int) -> str:
    return ngettext("%(verb)s: %(count)d item made.", "%(verb)s: %(count)d items made.", count)


def _with_links(told: str, results: Sequence[Result]) -> SafeString:
    """Return the words with links to the first items that were made."""
    made = [result.item.pk for result in results if result.item is not None][:TOLD]
    links = [(reverse("admin:roost_workitem_change", args=[pk]), pk) for pk in made]
    return format_html("{} {}", told, format_html_join(" ", '<a href="{}">{}</a>', links))
