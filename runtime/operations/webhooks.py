"""Set, rotate and remove webhooks. They are configuration, not work: an operator edits them while work runs.

set_webhook("pushes", engine="build", verifier="github", secret="env:GITHUB_HOOK_SECRET",
            condition='headers["x-github-event"] == "push"', payload={"commit": "$body.after"})
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass, field
from typing import Any, Unpack

from django.db import IntegrityError
from django.db.models import QuerySet

from runtime import clock, faults, registry
from runtime.conf import settings as roost
from runtime.exceptions import Conflict, InvalidInput, NotFound, StaleVersion
from runtime.models import Webhook
from runtime.operations import fields
from runtime.operations.base import actor_name, check_permission
from runtime.operations.hook_values import COLUMNS, MAX_NAME, WebhookOptions, checked
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.signatures import secret_to_keep
from runtime.store import work_database
from runtime.store.transactions import transacted

KEEP_SECONDS = 24 * 3600.0
SECRET_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A webhook, and its secret if it was made here: the one time that it can be read."""

    webhook: Webhook
    secret: str = field(default="", repr=False)


class SetWebhook:
    """Make a webhook of that name, or change the one there is; it holds at once.

    `by` is a Django user whose permission is checked, or None for trusted code, which may give `actor`. With
    `row_version` it is changed only if nobody edited it since that version was read. A new webhook without a secret is
    given one. An existing one keeps its secret; `RotateSecret` is what changes it without losing a delivery.
    """

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
        self.name = fields.name(name, "name", limit=MAX_NAME)
        self.namespace = fields.name(namespace, "namespace")
        self.by = by
        self.actor = actor_name(by, actor)
        self.row_version = row_version
        self.using = using or work_database()
        self.options: dict[str, Any] = dict(options)
        self._made = "" if options.get("secret") else secrets.token_urlsafe(SECRET_BYTES)

    def check(self) -> None:
        """Raise `Forbidden` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(named(self.using, self.namespace, self.name).first())

    def execute(self) -> Issued:
        """Do it. One transaction; joins the caller's."""
        with faults.around("rule"):
            try:
                return transacted(self.using, self._once)
            except IntegrityError:  # somebody made one of that name at this instant: now there is one to change
                return transacted(self.using, self._once)

    def _once(self) -> Issued:
        found = named(self.using, self.namespace, self.name).select_for_update(no_key=True).first()
        values = self._prepare(found)
        told = {"changed_by": self.actor, "changed_at": clock.now(self.using)}
        if found is None:
            made: Webhook = Webhook.objects.using(self.using).create(**values, **told)
            return Issued(webhook=made, secret=self._made)
        changes = {name: value for name, value in values.items() if getattr(found, name) != value}
        if "secret" in changes:
            changes |= {"previous_secret": "", "previous_until": None}
        return Issued(webhook=found.compare_and_set(**changes, **told) if changes else found)

    def _prepare(self, found: Webhook | None) -> dict[str, Any]:
        """Return all columns as they would be."""
        check_permission(self.by, "change_webhook" if found else "add_webhook", "set webhooks")
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(f"The webhook {self.name!r} changed since it was read. Look at it again.")
        if self.namespace == DEFAULT_NAMESPACE and self.name in roost.WEBHOOKS:
            raise InvalidInput(f"ROOST_WEBHOOKS has a webhook {self.name!r}: change it there.", field="name")
        kept = {} if found is None else {name: getattr(found, name) for name in COLUMNS[2:]}
        values = checked(self.namespace, self.name, kept | self.options)
        registry.get(values["engine"])
        return values | {"secret": self._secret(found, values["verifier"])}

    def _secret(self, found: Webhook | None, verifier: str) -> str:
        given = self.options.get("secret")
        if given is None and found is not None:
            if found.verifier != verifier:
                raise InvalidInput("Another verifier needs its secret said anew: give secret.", field="secret")
            return str(found.secret)
        return secret_to_keep(given or self._made, verifier)


class RotateSecret:
    """Give a webhook a new secret, made here unless one is given; the old one is good for `keep` seconds more.

    The secret before the old one is no longer good. `keep` 0 ends the old one at once.
    """

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
        self.secret = secret or secrets.token_urlsafe(SECRET_BYTES)
        self.made = not secret
        self.keep = fields.seconds(keep, "keep")
        self.by = by
        self.actor = actor_name(by, actor)
        self.using = using or work_database()

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
