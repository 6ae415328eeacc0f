"""Offer the verbs in the admin: as list actions, as buttons on an item's page, and as the page that confirms both.

Nothing changes on GET. A list action and a button both POST to the confirm page, which says what will change and what
will be skipped and why; its form carries the versions that were shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
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

from console.action_fields import typed, values
from console.actions import ACTIONS, AT_ONCE, Confirmation, OperatorAction, Result, named, read_confirmations
from console.admin.base import ReadOnlyAdmin
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.operations.base import MAX_REASON
from runtime.queries.items import HEAVY

TOLD = 5
"""Skipped items whose reason a message tells one by one."""
LISTED = 50
"""Rows of each kind that the confirm page lists."""


class VerbAdmin(ReadOnlyAdmin):
    """Items of which people may ask something. Permission is the operations' to check; this hides what would fail."""

    confirm_template = "admin/roost/workitem/confirm.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the confirm page."""
        view = self.admin_site.admin_view(self.verb_view)
        return [path("verb/<slug:verb>/", view, name="roost_workitem_verb"), *super().get_urls()]

    def verb_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Show what a verb would do to the items a form names; do it when the form says that this was confirmed."""
        action = named(verb)
        if action is None:
            raise Http404(f"There is no verb {verb!r}.")
        if not action.allowed(request.user) or not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            confirmations = read_confirmations(request.POST.get("items", ""))
        except InvalidInput as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(_back(request))
        if "confirmed" not in request.POST:
            return self.confirm(request, action, self._rows(request, confirmations))
        return self._carry_out(request, action, confirmations)

    def confirm(
        self, request: HttpRequest, action: OperatorAction, rows: QuerySet[Any], error: str = ""
    ) -> HttpResponse:
        """Show the page that confirms a verb on these rows. Reads only."""
        found = list(rows.defer(*HEAVY)[: AT_ONCE + 1])
        verdicts = action.judge(found[:AT_ONCE], by=request.user)
        eligible = [verdict.item for verdict in verdicts if not verdict.skipped]
        skipped = [verdict for verdict in verdicts if verdict.skipped]
        context = {
            **self.admin_site.each_context(request),
            "title": action.title,
            "opts": self.opts,
            "media": self.media,
            "action": action,
            "eligible": eligible[:LISTED],
            "eligible_count": len(eligible),
            "eligible_more": max(0, len(eligible) - LISTED),
            "skipped": skipped[:LISTED],
            "skipped_count": len(skipped),
            "skipped_more": max(0, len(skipped) - LISTED),
            "at_once": AT_ONCE if len(found) > AT_ONCE else 0,
            "items": " ".join(str(Confirmation.of(item)) for item in eligible),
            "back": _back(request),
            "reason": request.POST.get("reason", ""),
            "typed": typed(action.fields, request.POST),
            "max_reason": MAX_REASON,
            "error": error,
        }
        return TemplateResponse(request, self.confirm_template, context)

    def _carry_out(
        self, request: HttpRequest, action: OperatorAction, confirmations: Sequence[Confirmation]
    ) -> HttpResponse:
        reason = request.POST.get("reason", "")
        try:
            given = values(typed(action.fields, request.POST))
            results = action.carry_out(confirmations, by=request.user, reason=reason, values=given)
        except InvalidInput as error:
            return self.confirm(request, action, self._rows(request, confirmations), str(error))
        if action.fields and all(result.skipped for result in results):
            # What was typed must not be lost.
            return self.confirm(request, action, self._rows(request, confirmations), results[0].skipped)
        self._log(request, action, results, reason)
        self._tell(request, action, results)
        return HttpResponseRedirect(_back(request))

    def _rows(self, request: HttpRequest, confirmations: Iterable[Confirmation]) -> QuerySet[Any]:
        return self.get_queryset(request).filter(pk__in=[one.item for one in confirmations]).order_by("-pk")

    def _log(self, request: HttpRequest, action: OperatorAction, results: Iterable[Result], reason: str) -> None:
        items: Any = [result.item for result in results if result.item is not None]
        if items:
            if action.makes_new:
                asked = [result.confirmation.item for result in results if result.item is not None]
                items += WorkItem.objects.filter(pk__in=asked)
            message = ": ".join(filter(None, [action.operation.participle, reason.strip()]))
            user: Any = request.user
            LogEntry.objects.log_actions(user_id=user.pk, queryset=items, action_flag=CHANGE, change_message=message)

    def _tell(self, request: HttpRequest, action: OperatorAction, results: Sequence[Result]) -> None:
        skipped = [result.skipped for result in results if result.skipped]
        changed = len(results) - len(skipped)
        if changed:
            text = ngettext("%(verb)s: %(count)d item changed.", "%(verb)s: %(count)d items changed.", changed)
            if action.makes_new:
                text = ngettext("%(verb)s: %(count)d item made.", "%(verb)s: %(count)d items made.", changed)
            told = text % {"verb": action.title, "count": changed}
            self.message_user(request, _with_links(told, results) if action.makes_new else told, messages.SUCCESS)
        if skipped:
            text = ngettext("%(verb)s: %(count)d item skipped.", "%(verb)s: %(count)d items skipped.", len(skipped))
            parts = [text % {"verb": action.title, "count": len(skipped)}, *skipped[:TOLD]]
            if len(skipped) > TOLD:
                parts.append(_("And so on."))
            self.message_user(request, " ".join(parts), messages.WARNING)


def offer(admin_class: type[VerbAdmin]) -> type[VerbAdmin]:
    """Give an admin class a list action for each verb, hidden from users who may not ask for it."""
    for action in ACTIONS:
        setattr(admin_class, f"has_{action.name}_permission", _permission_method(action))
    admin_class.actions = [_list_action(action) for action in ACTIONS]
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


def _with_links(told: str, results: Sequence[Result]) -> SafeString:
    """Return the words with links to the first items that were made."""
    made = [result.item.pk for result in results if result.item is not None][:TOLD]
    links = [(reverse("admin:roost_workitem_change", args=[pk]), pk) for pk in made]
    return format_html("{} {}", told, format_html_join(" ", '<a href="{}">{}</a>', links))


def _back(request: HttpRequest) -> str:
    """Return where the user came from: the page that the form names if it is ours, else the list."""
    wanted = request.POST.get("back") or request.get_full_path()
    listing = reverse("admin:roost_workitem_changelist")
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours and wanted.startswith(listing) and "/verb/" not in wanted else listing
