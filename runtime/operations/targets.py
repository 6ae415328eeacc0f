"""Set and remove webhook targets. They are configuration, not work: an operator edits them while work runs.

set_target("ops", url="https://ops.example/roost", events=["failed", "waiting"], secret="env:OPS_HOOK_SECRET")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Unpack

from django.db import transaction
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from runtime import faults
from runtime.conf import settings as roost
from runtime.deliveries import ENGINE
from runtime.exceptions import NotFound
from runtime.models import WebhookTarget
from runtime.operations import notifying
from runtime.operations.base import check_permission
from runtime.operations.secretive import SetSecretive
from runtime.operations.target_values import COLUMNS, TargetOptions, checked
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedTarget:
    """A target, and its secret if it was made here: the one time that it can be read."""

    target: WebhookTarget
    secret: str = field(default="", repr=False)


class SetTarget(SetSecretive[WebhookTarget, IssuedTarget]):
    """Make a target of that name, or change the one there is; it holds within a second in every process.

    What is delivered after its secret changed is signed with the new one. See `SetSecretive` for the rest.
    """

    noun, permission, setting, kept = "webhook target", "webhooktarget", "WEBHOOK_TARGETS", COLUMNS

    @sensitive_variables()
    def __init__(
        self,
        name: str,
        *,
        new_secret: bool = False,
        by: Any = None,
        actor: str = "",
        row_version: int | None = None,
        using: str | None = None,
        **options: Unpack[TargetOptions],
    ) -> None:
        super().__init__(name, options, by=by, actor=actor, row_version=row_version, using=using)
        self.new_secret = new_secret

    def execute(self) -> IssuedTarget:
        """Do it. One transaction; joins the caller's."""
        issued = super().execute()
        _read_anew(self.using)
        return issued

    def rows(self) -> QuerySet[WebhookTarget]:
        """Return the row of that name, if there is one."""
        return named(self.using, self.name)

    def in_settings(self) -> bool:
        """Say whether the settings have one of that name."""
        return self.name in roost.WEBHOOK_TARGETS

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all columns, the secret apart. Raises `InvalidInput`."""
        return checked(self.name, given)

    def engines(self, values: Mapping[str, Any]) -> list[str]:
        """Name the engine that it hears of, if it is one, and the one that delivers."""
        return [name for name in (values["engine"], ENGINE) if name]

    def issued(self, row: WebhookTarget, secret: str) -> IssuedTarget:
        """Return the target, and its secret if it was made here."""
        return IssuedTarget(target=row, secret=secret)


@sensitive_variables()
def set_target(
    name: str, *, by: Any = None, actor: str = "", using: str | None = None, **options: Unpack[TargetOptions]
) -> IssuedTarget:
    """Make or change a target. Raises `InvalidInput`, `UnknownEngine`, `Forbidden`."""
    return SetTarget(name, by=by, actor=actor, using=using, **options).execute()


def remove_target(name: str, *, by: Any = None, using: str | None = None) -> None:
    """Remove a target; deliveries that are under way fail, and tell why. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_webhooktarget", "remove webhook targets", everywhere=True)
    with faults.around("rule"):
        removed = transacted(using, lambda: named(using, name).delete()[0])
    if not removed:
        raise NotFound(
            _("There is no webhook target %(name)r: `roost webhook-targets list` shows those there are.", name=name)
        )
    _read_anew(using)


def named(using: str, name: str) -> QuerySet[WebhookTarget]:
    """Return the row of that name, if there is one."""
    rows: QuerySet[WebhookTarget] = WebhookTarget.objects.using(using).filter(name=name)
    return rows


def _read_anew(using: str) -> None:
    notifying.forget()
    transaction.on_commit(partial(notifying.forget), using=using, robust=True)
