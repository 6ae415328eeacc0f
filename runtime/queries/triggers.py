"""Read the triggers, rows and those of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models import Trigger
from runtime.operations.triggering import COLUMNS
from runtime.operations.triggers import checked
from runtime.store import work_database


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggerView:
    """A trigger's columns, and whether it stands in a "row" or in the "settings"."""

    values: dict[str, Any]
    source: str


def views(*, using: str | None = None) -> list[TriggerView]:
    """Return all triggers by name; what is wrong in the settings is left out, and told by a system check."""
    found = [
        TriggerView(values=values, source="row")
        for values in Trigger.objects.using(using or work_database()).values(*COLUMNS, "note", "row_version")
    ]
    for name, given in roost.TRIGGERS.items():
        try:
            found.append(TriggerView(values=checked(name, given), source="settings"))
        except InvalidInput:
            continue
    return sorted(found, key=lambda view: str(view.values["name"]))
