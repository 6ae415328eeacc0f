"""Read the webhooks, rows and those of the settings, without their secrets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.views.decorators.debug import sensitive_variables

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models import Webhook
from runtime.operations.hook_values import COLUMNS, checked
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.signatures import whereabouts
from runtime.store import work_database

COUNTED = (
    *("accepted_total", "repeated_total", "ignored_total", "refused_total", "last_at", "last_item"),
    *("refused_at", "error", "previous_until", "changed_by", "changed_at", "row_version"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookView:
    """A webhook's columns, whether it stands in a "row" or in the "settings", and where its secret is kept.

    `secret_in` is "env:NAME" or, for one that is kept in the row or the settings, "here"; `trouble` says why nobody can
    be believed now, empty if somebody can.
    """

    values: dict[str, Any]
    source: str
    secret_in: str
    trouble: str

    @property
    def about(self) -> str:
        """Whose requests it takes, and what it makes of them, in words."""
        return f"{self.values['verifier']}: {self.values['engine']}"

    @property
    def path(self) -> str:
        """Where requests go, below Roost's own pages."""
        return f"hooks/{self.values['namespace']}/{self.values['name']}"


@sensitive_variables()
def views(*, using: str | None = None) -> list[WebhookView]:
    """Return all webhooks by namespace and name; what is wrong in the settings is left out, and told by a check."""
    rows = Webhook.objects.using(using or work_database()).values(*COLUMNS, *COUNTED, "secret")
    found = [*(_view(row, row.pop("secret"), "row") for row in rows), *of_settings()]
    return sorted(found, key=lambda view: (view.values["namespace"], view.values["name"]))


@sensitive_variables()
def of_settings() -> list[WebhookView]:
    """Return the webhooks of the settings, but for what is wrong."""
    found: list[WebhookView] = []
    for name, given in roost.WEBHOOKS.items():
        with suppress(InvalidInput):
            found.append(_view(checked(DEFAULT_NAMESPACE, name, given), str(given.get("secret")), "settings"))
    return found


@sensitive_variables()
def _view(values: dict[str, Any], secret: str, source: str) -> WebhookView:
    secret_in, trouble = whereabouts(secret)
    return WebhookView(values=values, source=source, secret_in=secret_in, trouble=trouble)
