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
from runtime.operations.base import actor_name, check_permission
from runtime.operations.hook_values import COLUMNS, WebhookOptions, checked
from runtime.operations.secretive import SetSecretive, made_secret
from runtime.operations.spec import DEFAULT_NAMESPACE
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

    `RotateSecret` is what changes a secret without losing a delivery. See `SetSecretive` for the rest.
    """

    noun, permission, setting, kept = "webhook", "webhook", "WEBHOOKS", COLUMNS[2:]
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


class RotateSecret:
    """Give a webhook a new secret, made here unless one is given; the old one is good for `keep` seconds more.

    The secret before the old one is no longer good. `keep` 0 ends the old one at once.
    """

    @sensitive_variables()
    def __init__(
        self,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        secret: str = "",
        keep: float | dt.timedelta = KEEP_SECONDS,
        by: Any = None,
        actor: str = "",
        using: str | None = None,
    ) -> None:
        self.name, self.namespace = name, namespace
        self.secret = secret or made_secret()
        self.made = not secret
        self.keep = fields.seconds(keep, "keep")
        self.by = by
        self.actor = actor_name(by, actor)
        self.using = using or work_database()

    @sensitive_variables()
    def execute(self) -> Issued:
        """Do it. One transaction; joins the caller's. Raises `NotFound`, `Forbidden`, `InvalidInput`, `Conflict`."""
        check_permission(self.by, "change_webhook", "rotate secrets of webhooks")

        def once() -> Webhook:
            webhook = find_webhook(self.name, namespace=self.namespace, using=self.using, lock=True)
            kept = secret_to_keep(self.secret, webhook.verifier)
            if kept == webhook.secret:
                raise Conflict(f"The webhook {self.name!r} has this secret already. Give another one.")
            now = clock.now(self.using)
            until = now + dt.timedelta(seconds=self.keep) if self.keep else None
            return webhook.compare_and_set(
                secret=kept,
                previous_secret=webhook.secret if until else "",
                previous_until=until,
                changed_by=self.actor,
                changed_at=now,
            )

        with faults.around("rule"):
            webhook = transacted(self.using, once)
        return Issued(webhook=webhook, secret=self.secret if self.made else "")


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
    """Give a webhook a new secret; the old one is good for `keep` seconds more. See `RotateSecret`."""
    return RotateSecret(name, namespace=namespace, secret=secret, keep=keep, by=by, actor=actor, using=using).execute()


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

    def once() -> Webhook:
        webhook = find_webhook(name, namespace=namespace, using=using, lock=True)
        if webhook.enabled is enabled:
            state = "enabled" if enabled else "disabled"
            raise Conflict(f"The webhook {name!r} is {state} already.", state=state)
        return webhook.compare_and_set(enabled=enabled, changed_by=actor_name(by, actor), changed_at=clock.now(using))

    with faults.around("rule"):
        return transacted(using, once)


def remove_webhook(name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None) -> None:
    """Remove a webhook; what it has enqueued stays. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_webhook", "remove webhooks")
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
        f"There is no webhook {name!r} in the namespace {namespace!r}: `roost webhooks list` shows those there are."
    )
