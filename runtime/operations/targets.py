"""Set and remove webhook targets. They are configuration, not work: an operator edits them while work runs.

set_target("ops", url="https://ops.example/roost", events=["failed", "waiting"], secret="env:OPS_HOOK_SECRET")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from runtime import conditions, faults, jsondata
from runtime.choices import TargetEvent
from runtime.deliveries import ENGINE
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import WebhookTarget
from runtime.operations import fields, item_options, notifying
from runtime.operations.base import check_permission
from runtime.operations.hook_values import MAX_NAME, MAX_NOTE
from runtime.operations.notices import CONTENTS, DEFAULT_CONTENTS
from runtime.operations.secretive import SetSecretive
from runtime.store import work_database
from runtime.store.transactions import transacted
from runtime.weblinks import url_trouble

KEPT = ("url", "events", "namespace", "engine", "condition", "contents", "redact", "options", "enabled", "note")


class TargetOptions(TypedDict, total=False):
    """What a target has; what is left out stays as it is, or is the default of a new target."""

    url: str
    events: Sequence[str]
    namespace: str
    engine: str
    condition: str
    contents: Sequence[str]
    redact: bool
    options: Mapping[str, Any]
    secret: str
    enabled: bool
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedTarget:
    """A target, and its secret if it was made here: the one time that it can be read."""

    target: WebhookTarget
    secret: str = field(default="", repr=False)


class SetTarget(SetSecretive[WebhookTarget, IssuedTarget]):
    """Make a target of that name, or change the one there is; it holds within a second in every process.

    What is delivered after its secret changed is signed with the new one. See `SetSecretive` for the rest.
    """

    noun, permission, setting, kept = "webhook target", "webhooktarget", "WEBHOOK_TARGETS", KEPT

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
        """Say whether the settings have one of that name: not yet."""
        return False

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all columns, the secret apart. Raises `InvalidInput`."""
        return checked(self.name, given)

    def engines(self, values: Mapping[str, Any]) -> list[str]:
        """Name the engine that it hears of, if it is one, and the one that delivers."""
        return [name for name in (values["engine"], ENGINE) if name]

    def issued(self, row: WebhookTarget, secret: str) -> IssuedTarget:
        """Return the target, and its secret if it was made here."""
        return IssuedTarget(target=row, secret=secret)


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target's columns, its secret apart. Raises `InvalidInput`; touches no database."""
    if unknown := [repr(key) for key in given if key not in TargetOptions.__annotations__]:
        allowed = ", ".join(TargetOptions.__annotations__)
        raise InvalidInput(f"The target {name!r} has {', '.join(unknown)}; it takes {allowed}.", field="name")
    condition = given.get("condition") or ""
    if condition:
        conditions.condition(condition)
    options = item_options.checked(given.get("options") or {})
    item_options.for_enqueue(options)
    contents = given.get("contents")
    return {
        "name": fields.name(name, "name", limit=MAX_NAME),
        "url": _url(given.get("url", "")),
        "events": _chosen(given.get("events") or (), TargetEvent.values, "events"),
        "namespace": fields.name(given["namespace"], "namespace") if given.get("namespace") else "",
        "engine": fields.text(given["engine"], "engine", limit=100) if given.get("engine") else "",
        "condition": condition,
        "contents": _chosen(DEFAULT_CONTENTS if contents is None else contents, CONTENTS, "contents", some=False),
        "redact": bool(given.get("redact", True)),
        "options": options,
        "enabled": bool(given.get("enabled", True)),
        "note": fields.text(given["note"], "note", limit=MAX_NOTE) if given.get("note") else "",
    }


def _url(url: Any) -> str:
    trouble = url_trouble(url) if isinstance(url, str) else "it is no text"
    if trouble:
        # Not shown: what somebody takes for an address may hold a token.
        raise InvalidInput(f"The url cannot be called: {trouble}. Give an http or https URL.", field="url")
    jsondata.check(url, "url")
    return str(url)


def _chosen(given: Any, known: Sequence[str], field_: str, *, some: bool = True) -> list[str]:
    """Return what was chosen, in our order, each once."""
    wrong = isinstance(given, str) or not isinstance(given, Sequence) or any(one not in known for one in given)
    if wrong or (some and not given):
        least = "one or more" if some else "any"
        raise InvalidInput(f"{field_} must be a list of {least} of {', '.join(known)}.", field=field_)
    return [one for one in known if one in given]


@sensitive_variables()
def set_target(
    name: str, *, by: Any = None, actor: str = "", using: str | None = None, **options: Unpack[TargetOptions]
) -> IssuedTarget:
    """Make or change a target. Raises `InvalidInput`, `UnknownEngine`, `Forbidden`."""
    return SetTarget(name, by=by, actor=actor, using=using, **options).execute()


def remove_target(name: str, *, by: Any = None, using: str | None = None) -> None:
    """Remove a target; deliveries that are under way fail, and tell why. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_webhooktarget", "remove webhook targets")
    with faults.around("rule"):
        removed = transacted(using, lambda: named(using, name).delete()[0])
    if not removed:
        raise NotFound(f"There is no webhook target {name!r}: `roost webhook-targets list` shows those there are.")
    _read_anew(using)


def named(using: str, name: str) -> QuerySet[WebhookTarget]:
    """Return the row of that name, if there is one."""
    rows: QuerySet[WebhookTarget] = WebhookTarget.objects.using(using).filter(name=name)
    return rows


def _read_anew(using: str) -> None:
    notifying.forget()
    transaction.on_commit(partial(notifying.forget), using=using, robust=True)
