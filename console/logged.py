"""Keep in Django's log who asked for a verb, why and with which click, for each row that it changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model

from console.actions import OperatorAction, Result
from runtime.store import work_database


def log_results(
    user: Any, model: type[Model], action: OperatorAction, results: Sequence[Result], *, reason: str, click: str
) -> None:
    """Write an entry for each item that changed or was made, and for the row that was confirmed where it is another.

    The click's id stands in the entries and in the data of the items' events.
    """
    items = {result.item.pk: result.item for result in results if result.item is not None}
    asked = {result.confirmation.subject for result in results if result.item is not None} - items.keys()
    rows: Any = [*items.values()]
    if asked:
        rows += model._default_manager.using(work_database()).filter(pk__in=asked)
    if rows:
        message = f"{': '.join(filter(None, [str(action.operation.participle), reason.strip()]))} [{click}]"
        LogEntry.objects.log_actions(user_id=user.pk, queryset=rows, action_flag=CHANGE, change_message=message)
