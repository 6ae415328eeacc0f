"""Set and remove triggers. They are configuration, not work: an operator edits them while workers run.

set_trigger("alert", engine="watchlist", on="done", condition='result.verdict == "unreachable"',
            target="mail", payload={"to": "ops", "url": "$payload.url"})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction

from runtime import conditions, faults, jsondata, registry
from runtime.choices import TriggerEvent
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput, NotFound, StaleVersion
from runtime.models import Trigger
from runtime.operations import fields, item_options, triggering
from runtime.operations.base import check_permission
from runtime.operations.triggering import COLUMNS, default_payload
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted

MAX_NOTE = 500


class TriggerOptions(TypedDict, total=False):
    """What a trigger has; what is left out stays as it is, or is the default of a new trigger."""

    namespace: str
    engine: str
    on: str
    condition: str
    target: str
    payload: Any
    options: Mapping[str, Any]
    enabled: bool
    note: str


class SetTrigger:
    """Make a trigger of that name, or change the one there is; it holds within a second in every worker.

    `by` is a Django user whose permission is checked, or None for trusted code. With `row_version` it is changed only
    if nobody edited it since that version was read. A ring of triggers without a condition would never end: refused.
    """

    def __init__(
        self,
        name: str,
        *,
        by: Any = None,
        row_version: int | None = None,
        using: str | None = None,
        **options: Unpack[TriggerOptions],
    ) -> None:
        self.name = fields.text(name, "name", limit=100)
        self.by = by
        self.row_version = row_version
        self.using = using or work_database()
        self.options: dict[str, Any] = dict(options)

    def check(self) -> None:
        """Raise `Forbidden` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(Trigger.objects.using(self.using).filter(name=self.name).first())

    def execute(self) -> Trigger:
        """Do it and return the trigger. One transaction; joins the caller's."""

        def once() -> Trigger:
            found = Trigger.objects.using(self.using).select_for_update(no_key=True).filter(name=self.name).first()
            values = self._prepare(found)
            if found is None:
                made: Trigger = Trigger.objects.using(self.using).create(**values)
                return made
            changes = {name: value for name, value in values.items() if getattr(found, name) != value}
            changed: Trigger = found.compare_and_set(**changes) if changes else found
            return changed

        with faults.around("rule"):
            try:
                trigger = transacted(self.using, once)
            except IntegrityError:  # somebody made one of that name at this instant: now there is one to change
                trigger = transacted(self.using, once)
        _read_anew(self.using)
        return trigger

    def _prepare(self, found: Trigger | None) -> dict[str, Any]:
        """Return all columns as they would be."""
        check_permission(self.by, "change_trigger" if found else "add_trigger", "set triggers", everywhere=True)
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(_("The trigger %(name)r changed since it was read. Look at it again.", name=self.name))
        if self.name in roost.TRIGGERS:
            raise InvalidInput(
                _("ROOST_TRIGGERS has a trigger %(name)r: change it there.", name=self.name), field="name"
            )
        kept = {} if found is None else {name: getattr(found, name) for name in (*COLUMNS, "note") if name != "name"}
        values = checked(self.name, kept | self.options)
        for name in ("engine", "target"):
            registry.get(values[name])
        rows = Trigger.objects.using(self.using).exclude(name=self.name).filter(enabled=True, condition="")
        edges = [*rows.values_list("engine", "target"), *edges_of_settings()]
        refuse_rings(values, edges)
        return values


def checked(name: str, given: Any) -> dict[str, Any]:
    """Return a trigger's columns in the form in which they are stored. Raises `InvalidInput`; touches no database."""
    if not isinstance(given, Mapping):
        raise InvalidInput(
            _("The trigger %(name)r is a %(kind)s; it must be a mapping.", name=name, kind=type(given).__name__),
            field="name",
        )
    if unknown := [repr(key) for key in given if key not in TriggerOptions.__annotations__]:
        allowed = ", ".join(TriggerOptions.__annotations__)
        raise InvalidInput(
            _(
                "The trigger %(name)r has %(names)s; it takes %(allowed)s.",
                name=name,
                names=", ".join(unknown),
                allowed=allowed,
            ),
            field="name",
        )
    on = given.get("on", TriggerEvent.DONE)
    if on not in TriggerEvent.values:
        raise InvalidInput(
            _("on is %(on)r; it must be one of %(names)s.", on=on, names=", ".join(TriggerEvent.values)), field="on"
        )
    text = given.get("condition") or ""
    if not isinstance(text, str):
        raise InvalidInput(_("condition is a %(kind)s; it must be text.", kind=type(text).__name__), field="condition")
    if text:
        conditions.condition(text)
    mapped = given.get("payload")
    mapped = default_payload(on) if mapped is None else mapped
    jsondata.dumps(mapped, what="payload", max_bytes=roost.MAX_PAYLOAD_BYTES)
    conditions.roots_of(mapped)
    options = item_options.checked(given.get("options") or {})
    item_options.for_enqueue(options)
    return {
        "name": fields.text(name, "name", limit=100),
        "namespace": fields.name(given["namespace"], "namespace") if given.get("namespace") else "",
        "engine": fields.text(given.get("engine", ""), "engine", limit=100),
        "on": str(on),
        "condition": text,
        "target": fields.text(given.get("target", ""), "target", limit=100),
        "payload": mapped,
        "options": options,
        "enabled": bool(given.get("enabled", True)),
        "note": fields.text(given["note"], "note", limit=MAX_NOTE) if given.get("note") else "",
    }


def refuse_rings(values: Mapping[str, Any], edges: Iterable[tuple[str, str]]) -> None:
    """Raise `InvalidInput` if the trigger would close a ring of triggers that always fire. Pure."""
    if values["condition"] or not values["enabled"]:
        return
    leads: dict[str, set[str]] = {}
    for source, target in edges:
        leads.setdefault(source, set()).add(target)
    reached, open_ = {values["target"]}, [values["target"]]
    while open_:
        for target in leads.get(open_.pop(), ()):
            if target not in reached:
                reached.add(target)
                open_.append(target)
    if values["engine"] in reached:
        raise InvalidInput(
            _(
                "The trigger %(name)r would let %(engine)r start itself again for ever. Give it a condition.",
                name=values["name"],
                engine=values["engine"],
            ),
            field="condition",
        )


def edges_of_settings(*, but: str = "") -> list[tuple[str, str]]:
    """Return from which engine to which the settings' triggers lead that always fire; those that are none left out."""
    edges: list[tuple[str, str]] = []
    for name, given in roost.TRIGGERS.items():
        try:
            values = checked(name, given)
        except InvalidInput:
            continue
        if name != but and values["enabled"] and not values["condition"]:
            edges.append((values["engine"], values["target"]))
    return edges


def set_trigger(name: str, *, by: Any = None, using: str | None = None, **options: Unpack[TriggerOptions]) -> Trigger:
    """Make or change a trigger and return it. Raises `InvalidInput`, `UnknownEngine`, `Forbidden`."""
    return SetTrigger(name, by=by, using=using, **options).execute()


def remove_trigger(name: str, *, by: Any = None, using: str | None = None) -> None:
    """Remove a trigger; what it has enqueued stays. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_trigger", "remove triggers", everywhere=True)
    with faults.around("rule"):
        removed = transacted(using, lambda: Trigger.objects.using(using).filter(name=name).delete()[0])
    if not removed:
        raise NotFound(_("There is no trigger %(name)r: `roost triggers list` shows those there are.", name=name))
    _read_anew(using)


def _read_anew(using: str) -> None:
    triggering.forget()
    transaction.on_commit(partial(triggering.forget), using=using, robust=True)
