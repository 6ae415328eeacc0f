"""Buttons in the rows of a list, for what people do to the items that the rows belong to.

A list is one form, and forms cannot stand in each other: the buttons belong to the form `roost-row` beside it, and say
by themselves where they lead. Each leads to a page that asks; nothing has happened until it is confirmed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.actions import Confirmation, OperatorAction
from console.admin.base import ReadOnlyAdmin, may_view
from console.item_actions import ACTIONS
from runtime.models import WorkItem
from runtime.queries.items import HEAVY

BUTTON = (
    '<button type="submit" form="roost-row" formaction="{}" name="items" value="{}" class="{}">{}…'
    '<span class="visually-hidden"> {}</span></button>'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A verb for one row, about what it is in words, and what its page has in its fields at first."""

    action: OperatorAction
    model: str
    row: Any
    about: str
    typed: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The page that asks."""
        query = {f"value-{name}": text for name, text in self.typed.items()}
        return reverse(f"admin:roost_{self.model}_verb", args=[self.action.name], query=query or None)

    @property
    def look(self) -> str:
        """Its classes: what cannot be taken back looks different."""
        return "button roost-grave" if self.action.grave else "button"


def buttons(offered: Iterable[Button]) -> SafeString:
    """Return the buttons of one row."""
    told = ((one.address, Confirmation.of(one.row), one.look, one.action.title, one.about) for one in offered)
    return format_html_join(" ", BUTTON, told)


class ItemRowsAdmin(ReadOnlyAdmin):
    """A table whose rows belong to an item each, with the verbs for that item that people look for here.

    Their buttons stand in a column of their own: the last, or that behind the one that `verbs_after` names.
    """

    row_verbs: ClassVar[tuple[str, ...]] = ()
    verbs_after: ClassVar[str] = ""
    change_list_template = "admin/roost/change_list_buttons.html"
    change_form_template = "admin/roost/change_form_buttons.html"
    list_select_related: ClassVar[tuple[str, ...]] = ("work_item",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the items with the rows, and leave what is heavy of them in the database."""
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*(f"work_item__{name}" for name in (*HEAVY, "last_error")))

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the buttons that the user may press."""
        shown = list(super().get_list_display(request))
        actions = self._offered(request)
        if actions:
            shown.insert(
                shown.index(self.verbs_after) + 1 if self.verbs_after else len(shown), _verbs_column(self, actions)
            )
        return shown

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Give the row's own page the same buttons."""
        context["row_buttons"] = tuple(self._buttons(context["original"], self._offered(request)))
        return super().render_change_form(request, context, *args, **options)

    def fitting(self, row: Any) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the names of the verbs that fit a row, and what their fields have in them at first."""
        raise NotImplementedError

    def _offered(self, request: HttpRequest) -> dict[str, OperatorAction]:
        if not may_view(request, WorkItem):
            return {}
        return {one.name: one for one in ACTIONS if one.name in self.row_verbs and one.allowed(request.user)}

    def _buttons(self, row: Any, actions: dict[str, OperatorAction]) -> Iterator[Button]:
        for name, typed in self.fitting(row) if actions else ():
            if name in actions:
                yield Button(action=actions[name], model="workitem", row=row.work_item, about=str(row), typed=typed)


def _verbs_column(rows: ItemRowsAdmin, actions: dict[str, OperatorAction]) -> Callable[[Any], SafeString]:
    @admin.display(description=_("verbs"), empty_value="")
    def verbs(row: Any) -> SafeString:
        return buttons(rows._buttons(row, actions))

    return verbs
