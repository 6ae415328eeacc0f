"""Make and change the rows of configuration that keep a secret: webhooks and webhook targets."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from django.db import IntegrityError
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from runtime import clock, faults, registry
from runtime.choices import Verifier
from runtime.conf import PREFIX
from runtime.exceptions import InvalidInput, StaleVersion
from runtime.models import Webhook, WebhookTarget
from runtime.operations import fields
from runtime.operations.base import actor_name, check_permission
from runtime.operations.hook_values import MAX_NAME
from runtime.sentences import say as _
from runtime.signatures import secret_to_keep
from runtime.store import work_database
from runtime.store.transactions import transacted

Row = TypeVar("Row", Webhook, WebhookTarget)
Issued = TypeVar("Issued")

SECRET_BYTES = 32


def made_secret() -> str:
    """Return a new secret, made at random."""
    return secrets.token_urlsafe(SECRET_BYTES)


class SetSecretive(ABC, Generic[Row, Issued]):
    """Make a row of a name, or change the one there is; of two makers at once, the second changes what is there.

    `by` is a Django user whose permission is checked, or None for trusted code, which may give `actor`. With
    `row_version` a row is changed only if nobody edited it since that version was read. A new row without a secret is
    given one, and so is an existing one with `new_secret`; otherwise it keeps its own. The engines of a row that is
    turned off need not be there.
    """

    noun: ClassVar[str]
    permission: ClassVar[str]
    setting: ClassVar[str]
    """Which setting declares such things too."""
    kept: ClassVar[tuple[str, ...]]
    """Columns that stay as they are unless they are given."""
    with_secret: ClassVar[Mapping[str, Any]] = {}
    """What changes when the secret of a row does."""
    new_secret = False
    everywhere: ClassVar[bool] = True
    """Whether such rows concern the whole installation."""

    @sensitive_variables()
    def __init__(
        self, name: str, options: Mapping[str, Any], *, by: Any, actor: str, row_version: int | None, using: str | None
    ) -> None:
        self.name = fields.name(name, "name", limit=MAX_NAME)
        self.by = by
        self.actor = actor_name(by, actor)
        self.row_version = row_version
        self.using = using or work_database()
        self.options = dict(options)
        self._made = "" if options.get("secret") else made_secret()

    @abstractmethod
    def rows(self) -> QuerySet[Row]:
        """Return the row of that name, if there is one."""

    @abstractmethod
    def in_settings(self) -> bool:
        """Say whether the setting has one of that name."""

    @abstractmethod
    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all columns, the secret apart. Raises `InvalidInput`."""

    @abstractmethod
    def engines(self, values: Mapping[str, Any]) -> Iterable[str]:
        """Name the engines without which such a row could do nothing."""

    @abstractmethod
    def issued(self, row: Row, secret: str) -> Issued:
        """Return what `execute` does; `secret` is empty unless it was made here."""

    def check_permission(self, found: Row | None) -> None:
        """Raise `Forbidden` unless `by` may make such a row, or change the one that was found."""
        permission = f"{'change' if found else 'add'}_{self.permission}"
        check_permission(self.by, permission, f"set {self.noun}s", everywhere=self.everywhere)

    @sensitive_variables()
    def check(self) -> None:
        """Raise `Forbidden`, `StaleVersion` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(self.rows().first())

    @sensitive_variables()
    def execute(self) -> Issued:
        """Do it. One transaction; joins the caller's."""
        with faults.around("rule"):
            try:
                return transacted(self.using, self._once)
            except IntegrityError:  # somebody made one of that name at this instant: now there is one to change
                return transacted(self.using, self._once)

    def _once(self) -> Issued:
        found = self.rows().select_for_update(no_key=True).first()
        values = self._prepare(found)
        told = {"changed_by": self.actor, "changed_at": clock.now(self.using)}
        if found is None:
            return self.issued(self.rows().create(**values, **told), self._made)
        changes = {name: value for name, value in values.items() if getattr(found, name) != value}
        if "secret" in changes:
            changes |= self.with_secret
        if changes:
            found.compare_and_set(**changes, **told)
        return self.issued(found, self._made if self.new_secret else "")

    def _prepare(self, found: Row | None) -> dict[str, Any]:
        """Return all columns as they would be."""
        self.check_permission(found)
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(
                _("The %(noun)s %(name)r changed since it was read. Look at it again.", noun=self.noun, name=self.name)
            )
        if self.in_settings():
            setting = f"{PREFIX}{self.setting}"
            told = _(
                "%(setting)s has a %(noun)s %(name)r: change it there.", setting=setting, noun=self.noun, name=self.name
            )
            raise InvalidInput(told, field="name")
        kept = {} if found is None else {name: getattr(found, name) for name in self.kept}
        values = self.checked(kept | self.options)
        if values["enabled"]:
            for engine in self.engines(values):
                registry.get(engine)
        return values | {"secret": self._secret(found, values)}

    def _secret(self, found: Row | None, values: Mapping[str, Any]) -> str:
        given = self.options.get("secret")
        if given or found is None or self.new_secret:
            return secret_to_keep(given or self._made, values.get("verifier", Verifier.HMAC))
        if getattr(found, "verifier", None) != values.get("verifier"):
            raise InvalidInput(_("Another verifier needs its secret said anew: give secret."), field="secret")
        return str(found.secret)
