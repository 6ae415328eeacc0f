"""Ask for a verb on all items that match a list's filters, which are run again; the work is an item of its own."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.action_fields import typed
from console.actions import OperatorAction
from console.admin.verbs import VerbAdmin, click_of
from console.bulk import MOST, start
from runtime.exceptions import InvalidInput, RoostError


class BulkAdmin(VerbAdmin):
    """Items whose verbs may be asked for all that match."""

    def get_urls(self) -> list[URLPattern]:
        """Add the address that starts one."""
        view = self.admin_site.admin_view(self.all_view)
        return [path("verb/<slug:verb>/all/", view, name="roost_workitem_verb_all"), *super().get_urls()]

    def confirm(
        self, request: HttpRequest, action: OperatorAction, rows: QuerySet[Any], error: str = ""
    ) -> TemplateResponse:
        """Offer all that match where one confirmation does not cover them."""
        answer: TemplateResponse = super().confirm(request, action, rows, error)
        context: dict[str, Any] = answer.context_data or {}
        if context["at_once"] and self._is_own_list(context["back"]):
            context["all_count"] = min(rows.order_by()[: MOST + 1].count(), MOST)
            context["newest"] = rows.order_by("-pk").values_list("pk", flat=True).first()
            context["all_url"] = reverse("admin:roost_workitem_verb_all", args=[action.name])
        return answer

    def all_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Enqueue the verb for what the list that was looked at finds now, the newest `MOST` of it."""
        action = next((one for one in self.verbs if one.name == verb and one.bulk), None)
        if action is None:
            raise Http404(f"There is no verb {verb!r} for many.")
        if not action.allowed(request.user) or not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = self.way_back(request)
        try:
            items = self._matching(request, back)
            given = action.read(typed(action.asked([]), request.POST))
            reason, click = request.POST.get("reason", ""), click_of(request)
            made = start(action, items, by=request.user, reason=reason, values=given, click=click)
        except RoostError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(back)
        self.log_change(request, made, f"{verb} of {len(items)} items [{click}]")
        text = ngettext("%(verb)s of %(count)d item:", "%(verb)s of %(count)d items:", len(items))
        told = text % {"verb": action.title, "count": len(items)}
        link = reverse("admin:roost_workitem_change", args=[made.pk])
        words = _("look at its progress and what became of each")
        self.message_user(request, format_html('{} <a href="{}">{}</a>', told, link, words), messages.SUCCESS)
        return HttpResponseRedirect(back)

    def _is_own_list(self, address: str) -> bool:
        return urlsplit(address).path == reverse("admin:roost_workitem_changelist")

    def _matching(self, request: HttpRequest, back: str) -> list[uuid.UUID]:
        """Run the filters and the search of the list's address again; newest first."""
        if not self._is_own_list(back):
            # Another table's filters mean something else here, and none at all would be every item.
            raise InvalidInput(_("All that match are those of the list of work items. Go there."), field="items")
        listed = HttpRequest()
        listed.__dict__.update(request.__dict__)
        listed.method = "GET"
        listed.GET = QueryDict(urlsplit(back).query)
        try:
            found = self.get_changelist_instance(listed).get_queryset(listed).order_by("-pk")
            newest = uuid.UUID(request.POST["newest"]) if request.POST.get("newest") else None
        except (IncorrectLookupParameters, ValueError):
            raise InvalidInput(_("The list's filters cannot be read. Go back to the list."), field="items") from None
        # What was enqueued since the page was shown was not confirmed.
        found = found if newest is None else found.filter(pk__lte=newest)
        return list(found.values_list("pk", flat=True)[:MOST])
