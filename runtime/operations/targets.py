"""Set and remove webhook targets. They are configuration, not work: an operator edits them while work runs.

set_target("ops", url="https://ops.example/roost", events=["failed", "waiting"], secret="env:OPS_HOOK_SECRET")
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from runtime import clock, conditions, faults, jsondata, registry
from runtime.choices import TargetEvent, Verifier
from runtime.deliveries import ENGINE
from runtime.exceptions import InvalidInput, NotFound, StaleVersion
from runtime.models import WebhookTarget
from runtime.operations import fields, item_options, notifying
from runtime.operations.base import actor_name, check_permission
from runtime.operations.notices import CONTENTS, DEFAULT_CONTENTS
from runtime.signatures import secret_to_keep
from runtime.store import work_database
from runtime.store.transactions import transacted
from runtime.weblinks import url_trouble

MAX_NAME = 80
MAX_NOTE = 500
SECRET_BYTES = 32
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


class SetTarget:
    """Make a target of that name, or change the one there is; it holds within a second in every process.

    `by` is a Django user whose permission is checked, or None for trusted code, which may give `actor`. With
    `row_version` it is changed only if nobody edited it since that version was read. A new target without a secret is
    given one, and so is an existing one with `new_secret`; what is delivered from then on is signed with it.
    """

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
        self.name = fields.name(name, "name", limit=MAX_NAME)
        self.new_secret = new_secret
        self.by = by
        self.actor = actor_name(by, actor)
        self.row_version = row_version
        self.using = using or work_database()
        self.options: dict[str, Any] = dict(options)
        self._made = "" if self.options.get("secret") else secrets.token_urlsafe(SECRET_BYTES)

    def check(self) -> None:
        """Raise `Forbidden` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(named(self.using, self.name).first())

    def execute(self) -> IssuedTarget:
        """Do it. One transaction; joins the caller's."""
        with faults.around("rule"):
            try:
                issued = transacted(self.using, self._once)
            except IntegrityError:  # somebody made one of that name at this instant: now there is one to change
                issued = transacted(self.using, self._once)
        _read_anew(self.using)
        return issued

    def _once(self) -> IssuedTarget:
        found = named(self.using, self.name).select_for_update(no_key=True).first()
        values = self._prepare(found)
        told = {"changed_by": self.actor, "changed_at": clock.now(self.using)}
        if found is None:
            made: WebhookTarget = WebhookTarget.objects.using(self.using).create(**values, **told)
            return IssuedTarget(target=made, secret=self._made)
        changes = {name: value for name, value in values.items() if getattr(found, name) != value}
        changed = found.compare_and_set(**changes, **told) if changes else found
        return IssuedTarget(target=changed, secret=self._made if self.new_secret else "")

    def _prepare(self, found: WebhookTarget | None) -> dict[str, Any]:
        """Return all columns as they would be."""
        check_permission(self.by, "change_webhooktarget" if found else "add_webhooktarget", "set webhook targets")
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(f"The webhook target {self.name!r} changed since it was read. Look at it again.")
        kept = {} if found is None else {name: getattr(found, name) for name in KEPT}
        values = checked(self.name, kept | self.options)
        if values["enabled"]:  # what is turned off need not work
            for engine in filter(None, (values["engine"], ENGINE)):
                registry.get(engine)
        return values | {"secret": self._secret(found)}

    def _secret(self, found: WebhookTarget | None) -> str:
        given = self.options.get("secret")
        if not given and found is not None and not self.new_secret:
            return str(found.secret)
        return secret_to_keep(given or self._made, Verifier.HMAC)


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
