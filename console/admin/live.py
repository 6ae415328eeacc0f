"""Pages that say when what they show has changed, and the addresses that they ask."""

from __future__ import annotations

import json
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.forms import Media, Script
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import URLPattern, path

from console.admin.base import ReadOnlyAdmin
from console.callers import Caller
from console.live.changes import Subscription, changes_since, parse
from console.live.stream import event_stream
from console.live.telling import Watcher
from runtime.exceptions import InvalidInput
from runtime.queries import feed


class LiveList(ReadOnlyAdmin):
    """A list that says how many work items have changed since it was read. Needs the template `roost/live_bar.html`."""

    @property
    def media(self) -> Media:
        """Add the module that keeps pages up to date."""
        scripts: list[Any] = [Script("roost/live.js", type="module")]
        return super().media + Media(js=scripts)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Give the list the cursor from which it hears of changes."""
        return super().changelist_view(request, {"cursor": feed.start(), **(extra_context or {})})


class LiveAddresses(LiveList):
    """Where pages without a socket hear of changes: the table of work items has these addresses for all pages."""

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses."""
        changes, stream = (self.admin_site.admin_view(view) for view in (self.changes_view, self.stream_view))
        return [
            path("changes/", changes, name="roost_workitem_changes"),
            path("changes/stream/", stream, name="roost_workitem_stream"),
            *super().get_urls(),
        ]

    def changes_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what changed since a cursor, in the words of the socket."""
        if not self.has_view_permission(request):
            return _refused(403, "forbidden")
        try:
            return JsonResponse(changes_since(_asked(request), Caller.of_user(request.user)))
        except (ValueError, InvalidInput) as error:
            return _refused(400, str(error))

    def stream_view(self, request: HttpRequest) -> HttpResponseBase:
        """Tell what changes as server-sent events; refused where each would keep a thread of the server busy."""
        if not self.has_view_permission(request):
            return _refused(403, "forbidden")
        try:
            subscription: Subscription = parse(_asked(request))
        except (ValueError, InvalidInput) as error:
            return _refused(400, str(error))
        if not isinstance(request, ASGIRequest):
            return _refused(501, "streams need an asynchronous server")
        return event_stream(subscription, Watcher(request.session))


def _asked(request: HttpRequest) -> Any:
    return json.loads(request.GET.get("ask", "{}"))


def _refused(status: int, why: str) -> JsonResponse:
    return JsonResponse({"error": why}, status=status)
