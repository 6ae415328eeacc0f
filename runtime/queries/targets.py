"""Read the webhook targets, without their secrets, and without what of their addresses may be one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables

from runtime.models import WebhookTarget
from runtime.signatures import ENV, read_secret
from runtime.store import work_database

SHOWN = (
    *("name", "events", "namespace", "engine", "condition", "contents", "redact", "options", "enabled", "note"),
    *("delivered_total", "failed_total", "last_at", "last_item", "failed_at", "error"),
    *("changed_by", "changed_at", "row_version"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetView:
    """A target's columns, the server it is at, and where its secret is kept: "env:NAME", or "here" in the row.

    `trouble` says why nothing can be signed in this process, empty if it can.
    """

    values: dict[str, Any]
    server: str
    secret_in: str
    trouble: str


@sensitive_variables()
def views(*, using: str | None = None) -> list[TargetView]:
    """Return all targets by name."""
    rows = WebhookTarget.objects.using(using or work_database()).order_by("name").values(*SHOWN, "url", "secret")
    return [_view(row) for row in rows]


def _view(row: dict[str, Any]) -> TargetView:
    secret, url = row.pop("secret"), urlsplit(row.pop("url"))
    kept = secret if secret.startswith(ENV) else "here"
    name = kept.removeprefix(ENV)
    missing = "is too short" if os.environ.get(name) else "is not set here"
    trouble = "" if read_secret(secret) else f"The variable {name} {missing}."
    return TargetView(values=row, server=f"{url.scheme}://{url.netloc}", secret_in=kept, trouble=trouble)
