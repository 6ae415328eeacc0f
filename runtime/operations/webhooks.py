"""Set, rotate and remove webhooks. They are configuration, not work: an operator edits them while work runs.

set_webhook("pushes", engine="build", verifier="github", secret="env:GITHUB_HOOK_SECRET",
            condition='headers["x-github-event"] == "push"', payload={"commit": "$body.after"})
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack

from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from runtime import clock, faults
from runtime.conf import settings as roost
from runtime.exceptions import Conflict, NotFound
from runtime.models import Webhook
from runtime.operations import fields
from runtime.operations.base import actor_name, check_permission, require_reach
from runtime.operations.hook_values import COLUMNS, WebhookOptions, checked
from runtime.operations.secretive import SetSecretive, made_secret
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.sentences import say as _
from runtime.signatures import secret_to_keep
from runtime.store import work_database
from runtime.store.transactions import transacted

KEEP_SECONDS = 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A webhook, and its secret if it was made here: the one time that it can be read."""

    webhook: Webhook
    secret: str = field(default="", repr=False)


class SetWebhook(SetSecretive[Webhook, Issued]):
    """Make a webhook of that name, or change the one there is; it holds at once.

    `rotate_secret` is what changes a secret without losing a delivery. See `SetSecretive` for the rest.
    """

    noun, permission, setting, kept = "webhook", "webhook", "WEBHOOKS", COLUMNS[2:]
    everywhere = False
    with_secret: ClassVar[Mapping[str, Any]] = {"previous_secret": "", "previous_until": None}

    @sensitive_variables()
    def __init__(
        self,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        by: Any = None,
        actor: str = "",
        row_version: int | None = None,
        using: str | None = None,
        **options: Unpack[WebhookOptions],
    ) -> None:
        super().__init__(name, options, by=by, actor=actor, row_version=row_version, using=using)
        self.namespace = fields.name(namespace, "namespace")

    def check_permission(self, found: Webhook | None) -> None:
        """Raise `Forbidden` for a namespace out of reach of `by` too."""
        # Before the permission, whose name would tell whether there is one.
        require_reach(self.by, self.namespace)
        super().check_permission(found)

    def rows(self) -> QuerySet[Webhook]:
        """Return the row of that name, if there is one."""
        return named(self.using, self.namespace, self.name)

    def in_settings(self) -> bool:
        """Say whether the settings have one of that name, which stands in the default namespace."""
        return self.namespace == DEFAULT_NAMESPACE and self.name in roost.WEBHOOKS

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all columns, the secret apart. Raises `InvalidInput`."""
        return checked(self.namespace, self.name, given)

    def engines(self, values: Mapping[str, Any]) -> list[str]:
        """Name the engine of its items."""
        return [values["engine"]]

    def issued(self, row: Webhook, secret: str) -> Issued:
        """Return the webhook, and its secret if it was made here."""
        return Issued(webhook=row, secret=secret)


@sensitive_variables()
def set_webhook(
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
    **options: Unpack[WebhookOptions],
) -> Issued:
    """Make or change a webhook. Raises `InvalidInput`, `UnknownEngine`, `Forbidden`."""
    return SetWebhook(name, namespace=namespace, by=by, actor=actor, using=using, **options).execute()


@sensitive_variables()
def rotate_secret(
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    secret: str = "",
    keep: float | dt.timedelta = KEEP_SECONDS,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> Issued:
    """Give a webhook a new secret, made here unless one is given; the old one is good for `keep` seconds more.

    The secret before the old one is no longer good. `keep` 0 ends the old one at once. One transaction; joins the
    caller's. Raises `NotFound`, `Forbidden`, `InvalidInput`, `Conflict`.
    """
    using = using or work_database()
    seconds, told = fields.seconds(keep, "keep"), actor_name(by, actor)
    check_permission(by, "change_webhook", "rotate secrets of webhooks")
    require_reach(by, namespace, _missing(namespace, name))
    new = secret or made_secret()

    @sensitive_variables()
    def once() -> Webhook:
        webhook = find_webhook(name, namespace=namespace, using=using, lock=True)
        kept = secret_to_keep(new, webhook.verifier)
        if kept == webhook.secret:
            raise Conflict(_("The webhook %(name)r has this secret already. Give another one.", name=name))
        now = clock.now(using)
        until = now + dt.timedelta(seconds=seconds) if seconds else None
        return webhook.compare_and_set(
            secret=kept,
            previous_secret=webhook.secret if until else "",
            previous_until=until,
            changed_by=told,
            changed_at=now,
        )

    with faults.around("rule"):
        webhook = transacted(using, once)
    return Issued(webhook=webhook, secret="" if secret else new)


def turn_webhook(
    name: str,
    *,
    enabled: bool,
    namespace: str = DEFAULT_NAMESPACE,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> Webhook:
    """Enable or disable a webhook. Raises `Conflict` when it is so already, `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "change_webhook", "enable and disable webhooks")
    require_reach(by, namespace, _missing(namespace, name))

    def once() -> Webhook:
        webhook = find_webhook(name, namespace=namespace, using=using, lock=True)
        if webhook.enabled is enabled:
            state = "enabled" if enabled else "disabled"
            raise Conflict(_("The webhook %(name)r is %(state)s already.", name=name, state=state), state=state)
        return webhook.compare_and_set(enabled=enabled, changed_by=actor_name(by, actor), changed_at=clock.now(using))

    with faults.around("rule"):
        return transacted(using, once)


def remove_webhook(name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None) -> None:
    """Remove a webhook; what it has enqueued stays. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_webhook", "remove webhooks")
    require_reach(by, namespace, _missing(namespace, name))
    with faults.around("rule"):
        removed = transacted(using, lambda: named(using, namespace, name).delete()[0])
    if not removed:
        raise _missing(namespace, name)


def find_webhook(name: str, *, namespace: str = DEFAULT_NAMESPACE, using: str, lock: bool = False) -> Webhook:
    """Return the webhook of that name, its row locked on wish. Raises `NotFound`."""
    rows = named(using, namespace, name)
    found = (rows.select_for_update(no_key=True) if lock else rows).first()
    if found is None:
        raise _missing(namespace, name)
    return found


def named(using: str, namespace: str, name: str) -> QuerySet[Webhook]:
    """Return the row of that name, if there is one."""
    rows: QuerySet[Webhook] = Webhook.objects.using(using).filter(namespace=namespace, name=name)
    return rows


def _missing(namespace: str, name: str) -> NotFound:
    return NotFound(
        _(
            "There is no webhook %(name)r in the namespace %(namespace)r: `roost webhooks list` shows those there are.",
            name=name,
            namespace=namespace,
        )
    )
