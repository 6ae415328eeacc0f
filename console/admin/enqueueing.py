"""Enqueue an item by a form, on a page under the work items."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from console.admin.base import ReadOnlyAdmin
from console.admin.verbs import click_of
from console.enqueue_form import EnqueueForm, Submitted, engines, submit
from runtime.exceptions import InvalidInput, RoostError
from runtime.operations.enqueue import PERMISSION


class EnqueuePages(ReadOnlyAdmin):
    """The page of the form."""

    enqueue_template = "roost/enqueue.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        view = self.admin_site.admin_view(self.enqueue_view)
        return [path("enqueue/", view, name="roost_workitem_enqueue"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Tell the list whether to lead to the page."""
        return super().changelist_view(request, {"may_enqueue": may_enqueue(request), **(extra_context or {})})

    def enqueue_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form for the engine `?engine=`; enqueue what was posted."""
        if not self.has_view_permission(request) or not may_enqueue(request):
            raise PermissionDenied
        sent = request.POST if request.method == "POST" else request.GET
        engine, raw = sent.get("engine", ""), bool(sent.get("raw"))
        click = click_of(request)
        form, error = None, ""
        try:
            form = EnqueueForm.of(_known(engine), sent, raw=raw) if engine else None
        except RoostError as refused:
            error = str(refused)
        if form is not None and request.method == "POST":
            done = submit(form, by=request.user, click=click)
            if done.item is not None:
                return self._enqueued(request, done, click)
            form, error = done.form, done.form.error
        context = {
            **self.admin_site.each_context(request),
            "title": _("Enqueue a work item"),
            "opts": self.opts,
            "media": self.media,
            "engines": engines(),
            "engine": engine,
            "raw": raw,
            "form": form,
            "wrong": form.wrong if form else 0,
            "error": error,
            "click": click,
        }
        return TemplateResponse(request, self.enqueue_template, context)

    def _enqueued(self, request: HttpRequest, done: Submitted, click: str) -> HttpResponse:
        """Record who did it, and lead to the item."""
        item: Any = done.item
        if done.is_new:
            self.log_addition(request, item, f"{': '.join(filter(None, ['enqueued', done.reason]))} [{click}]")
        told = _("Enqueued: %(item)s.") if done.is_new else _("There is such an item already: %(item)s.")
        self.message_user(request, told % {"item": item}, messages.SUCCESS if done.is_new else messages.INFO)
        return HttpResponseRedirect(reverse("admin:roost_workitem_change", args=[item.pk]))


def may_enqueue(request: HttpRequest) -> bool:
    """Say whether the user may enqueue."""
    return request.user.has_perm(f"roost.{PERMISSION}")


def _known(engine: str) -> str:
    """Return the engine's name. Raises `InvalidInput` for one that people do not enqueue for."""
    if engine not in engines():
        raise InvalidInput(_("There is no engine %(name)s to enqueue for.") % {"name": engine}, field="engine")
    return engine
