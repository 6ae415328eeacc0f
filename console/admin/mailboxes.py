"""Signals, the names that they are sent to, and the page by which a person sends one to a name."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.admin import display
from console.admin.base import ReadOnlyAdmin, json_column
from console.admin.verbs import click_of
from console.signal_form import SignalForm, send, waiting
from runtime.models import Mailbox, Signal
from runtime.operations.signal import SendSignal


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    """Signals, and the waits that took them. The payload is shown with the permission to view payloads."""

    list_display = ("id", "namespace", "name", "item", "sent", "actor", "consumed_version")
    list_filter = (("taken_by", admin.EmptyFieldListFilter),)
    sortable_by = ()
    search_help_text = _("A work item's or a signal's whole id.")
    find_by_id = ("target_id", "pk")
    secret_fields = ("payload",)
    fields = (
        *("namespace", "name", "item", "delivery_id", "actor", "sent", "taken_by_id", "consumed_version"),
        "shown_payload",
    )
    shown_payload = json_column("payload", _("payload"))

    @admin.display(description=_("to the work item"))
    def item(self, row: Signal) -> SafeString | str:
        """Link the item that it is for."""
        return display.item_link(row.target_id) if row.target_id else self.empty_value_display

    @admin.display(description=_("sent at"))
    def sent(self, row: Signal) -> SafeString | str:
        """Show the time to the second."""
        return display.moment(row.created_at)


@admin.register(Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    """The names that signals were sent to, or waited for; and the page that sends one."""

    change_list_template = "admin/roost/mailbox/change_list.html"
    send_template = "roost/send_signal.html"
    list_display = ("name", "namespace")
    sortable_by = ()
    search_help_text = _("A whole name.")
    find_by = ("name",)
    fields = ("namespace", "name")

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        view = self.admin_site.admin_view(self.send_view)
        return [path("send/", view, name="roost_mailbox_send"), *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Offer to send to each name."""
        shown = super().get_list_display(request)
        return [*shown, "send"] if may_send(request) else shown

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Tell the list whether to lead to the page."""
        return super().changelist_view(request, {"may_send": may_send(request), **(extra_context or {})})

    def send_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a signal, then say who would get it, and send it when that was confirmed."""
        if not self.has_view_permission(request) or not may_send(request):
            raise PermissionDenied
        posted, click = request.method == "POST", click_of(request)
        form = SignalForm.of(request.POST if posted else request.GET)
        if posted:
            form = form.checked(by=request.user, click=click)
        if posted and not form.is_wrong and "confirmed" in request.POST:
            sent = send(form, by=request.user, click=click)
            if sent.signal is not None:
                return self._sent(request, sent.signal, click, is_new=sent.is_new)
            form = sent.form
        context = {
            **self.admin_site.each_context(request),
            "title": _("Send a signal"),
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "wrong": form.wrong,
            "error": form.error,
            "asks": posted and not form.is_wrong,
            "waiting": waiting(form, by=request.user) if posted and not form.is_wrong else None,
            "click": click,
        }
        return TemplateResponse(request, self.send_template, context)

    def _sent(self, request: HttpRequest, signal: Signal, click: str, *, is_new: bool) -> HttpResponse:
        """Record who did it, and lead to the signal."""
        if is_new:
            self.log_addition(request, signal, f"sent [{click}]")
        told = _("Sent: %(name)s.") if is_new else _("This signal was sent already: %(name)s.")
        self.message_user(request, told % {"name": signal.name}, messages.SUCCESS if is_new else messages.INFO)
        allowed = request.user.has_perm("roost.view_signal")
        to_signal = reverse("admin:roost_signal_change", args=[signal.pk]) if allowed else ""
        return HttpResponseRedirect(to_signal or reverse("admin:roost_mailbox_changelist"))

    @admin.display(description=_("signal"))
    def send(self, row: Mailbox) -> SafeString:
        """Link the page with the name in its form."""
        query = {"value-name": row.name, "value-namespace": row.namespace}
        url = reverse("admin:roost_mailbox_send", query=query)
        return format_html('<a href="{}">{}<span class="visually-hidden"> {}</span></a>', url, _("Send one"), row.name)


def may_send(request: HttpRequest) -> bool:
    """Say whether the user may send signals."""
    return request.user.has_perm(f"roost.{SendSignal.permission}")
