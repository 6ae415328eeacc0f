"""Ask for a verb on all items that match a list's filters, which are run again; the work is an item of its own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.action_fields import typed
from console.actions import OperatorAction
from console.admin.verbs import TOLD, VerbAdmin, click_of
from console.all_matching import tally
from console.bulk import ENGINE, MOST, PARTS, Started, start_all
from runtime.exceptions import InvalidInput, RoostError
from runtime.sentences import translated


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
        if context["at_once"] and action.all_matching and self._is_own_list(context["back"]):
            context |= self._for_all(request, action, rows)
        answer.context_data = context
        return answer

    def _for_all(self, request: HttpRequest, action: OperatorAction, rows: QuerySet[Any]) -> dict[str, Any]:
        """Return what the page tells of all that match, nothing where none is left."""
        newest = rows.order_by("-pk").values_list("pk", flat=True).first()
        if newest is None:
            return {}
        counted = tally(action, rows.filter(pk__lte=newest), most=MOST * PARTS, by=request.user)
        offered = counted is None or counted.eligible
        return {
            "newest": newest,
            "tally": counted,
            "all_url": reverse("admin:roost_workitem_verb_all", args=[action.name]) if offered else "",
            # No field is needed only because those that were looked at first need it.
            "typed": typed(action.asked([]), {**request.GET.dict(), **request.POST.dict()}),
        }

    def all_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Enqueue the verb for what the list that was looked at finds now, as far as `PARTS` bulk verbs reach."""
        action = next((one for one in self.verbs if one.name == verb and one.bulk and one.all_matching), None)
        if action is None:
            raise Http404(f"There is no verb {verb!r} for many.")
        if not action.allowed(request.user) or not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = self.way_back(request)
        try:
            items, more = self._matching(request, back)
            given = action.read(typed(action.asked([]), request.POST))
            reason, click = request.POST.get("reason", ""), click_of(request)
            made = start_all(action, items, by=request.user, reason=reason, values=given, click=click)
        except RoostError as error:
            self.message_user(request, translated(error), messages.ERROR)
            return HttpResponseRedirect(back)
        for one in made:
            # Whoever reaches the part's namespace reads this, and not how many there are elsewhere.
            self.log_change(request, one.work, f"{verb} of {one.count} items [{click}]")
        self._tell_started(request, action, len(items), made)
        if more:
            told = _("Only the newest %(count)d were taken. Narrow the list to what is left, and ask again.")
            self.message_user(request, told % {"count": len(items)}, messages.WARNING)
        return HttpResponseRedirect(back)

    def _tell_started(self, request: HttpRequest, action: OperatorAction, count: int, made: Sequence[Started]) -> None:
        """Say what was started, with a link to each of the first items that do it, and to the others' list."""
        text = ngettext("%(verb)s of %(count)d item:", "%(verb)s of %(count)d items:", count)
        words = _("look at its progress and what became of each")
        links = [(reverse("admin:roost_workitem_change", args=[one.work.pk]), words) for one in made[:TOLD]]
        if len(made) > 1:
            part = _("part %(number)d")
            links = [(link, part % {"number": number}) for number, (link, _words) in enumerate(links, 1)]
        if len(made) > TOLD:
            listed = f"{reverse('admin:roost_workitem_changelist')}?{urlencode({'q': f'engine:{ENGINE}'})}"
            links.append((listed, _("and %(count)d more") % {"count": len(made) - TOLD}))
        shown = format_html_join(" ", '<a href="{}">{}</a>', links)
        told = format_html("{} {}", text % {"verb": action.title, "count": count}, shown)
        self.message_user(request, told, messages.SUCCESS)

    def _is_own_list(self, address: str) -> bool:
        return urlsplit(address).path == reverse("admin:roost_workitem_changelist")

    def _matching(self, request: HttpRequest, back: str) -> tuple[list[tuple[uuid.UUID, str]], bool]:
        """Run the filters and the search of the list's address again.

        Return the items with their namespaces, newest first, and whether more are left out.
        """
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
        most = MOST * PARTS
        items = list(found.values_list("pk", "namespace")[: most + 1])
        return items[:most], len(items) > most
