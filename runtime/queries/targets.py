"""Read the webhook targets, without their secrets, and without what of their addresses may be one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models import WebhookTarget
from runtime.operations.target_values import address, declared
from runtime.signatures import whereabouts
from runtime.store import work_database

SHOWN = (
    *("name", "events", "namespace", "engine", "condition", "contents", "redact", "options", "enabled", "note"),
    *("delivered_total", "failed_total", "last_at", "last_item", "failed_at", "error"),
    *("changed_by", "changed_at", "row_version"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetView:
    """A target's columns, whether it stands in a "row" or in the "settings", and the server it is at.

    `secret_in` is "env:NAME" or, for one that is kept in the row or the settings, "here"; `trouble` says why nothing
    can be signed or called in this process, empty if it can. One of the settings has no counters.
    """

    values: dict[str, Any]
    source: str
    server: str
    secret_in: str
    trouble: str

    @property
    def about(self) -> str:
        """What it is told, in words."""
        values = self.values
        where = f" in {values['namespace']}" if values["namespace"] else ""
        condition = f", if {values['condition']}" if values["condition"] else ""
        return f"{values['engine'] or 'any engine'}{where}: {', '.join(values['events'])}{condition}"


@sensitive_variables()
def views(*, using: str | None = None) -> list[TargetView]:
    """Return all targets by name; what is wrong in the settings is left out, and told by a check."""
    rows = WebhookTarget.objects.using(using or work_database()).values(*SHOWN, "url", "secret")
    found = [*(_view(row, "row") for row in rows), *of_settings()]
    return sorted(found, key=lambda view: (str(view.values["name"]), view.source))


@sensitive_variables()
def of_settings() -> list[TargetView]:
    """Return the targets of the settings, but for what is wrong."""
    found: list[TargetView] = []
    for name, given in roost.WEBHOOK_TARGETS.items():
        with suppress(InvalidInput):
            found.append(_view(declared(name, given), "settings"))
    return found


@sensitive_variables()
def _view(row: dict[str, Any], source: str) -> TargetView:
    url, server = row.pop("url"), ""
    secret_in, trouble = whereabouts(row.pop("secret"))
    try:
        parts = urlsplit(address(url))
        server = f"{parts.scheme}://{parts.netloc}"
    except InvalidInput as error:
        trouble = f"{error} {trouble}".strip()
    return TargetView(values=row, source=source, server=server, secret_in=secret_in, trouble=trouble)
