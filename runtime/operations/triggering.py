"""Know the triggers, and build what they make of the end of an item.

Triggers are rows and the setting ROOST_TRIGGERS. Rows are read at most once a second in each process, so a trigger
that was set, changed or removed holds within a second everywhere, and an end without triggers costs no query.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from runtime import conditions, instrument, offload
from runtime.choices import EventKind, State
from runtime.conf import settings as roost
from runtime.exceptions import Conflict
from runtime.models import Snapshot, Trigger, WorkItem
from runtime.operations import item_options
from runtime.operations.kept_rules import DeclaredRules, KeptRules
from runtime.operations.spec import build
from runtime.sentences import say as _
from runtime.store.ancestry import triggers_before
from runtime.store.children import TRIGGERED
from runtime.store.triggered import ENDED, Triggered
from runtime.store.values import NewItem

logger = logging.getLogger("roost.triggers")

RELATION = TRIGGERED
STATES = ENDED
KINDS = (EventKind.CHILD, EventKind.TRIGGER_FAILED)
MAX_ERROR = 1000
COLUMNS = ("name", "namespace", "engine", "on", "condition", "target", "payload", "options", "enabled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A trigger, read."""

    name: str
    namespace: str
    engine: str
    on: str
    condition: str
    target: str
    payload: Any
    options: Mapping[str, Any]

    @property
    def roots(self) -> frozenset[str]:
        """What its condition and payload map look at."""
        looked = conditions.condition(self.condition).roots if self.condition else frozenset()
        return looked | conditions.roots_of(self.payload)

    def covers(self, item: WorkItem) -> bool:
        """Say whether it waits for an end like this one, its condition apart."""
        return self.engine == item.engine and self.on == item.state and self.namespace in ("", item.namespace)


def forget() -> None:
    """Have the triggers read anew."""
    _rows.forget()


def active(using: str) -> bool:
    """Say whether there are any triggers."""
    return bool(roost.TRIGGERS or _rows.of(using))


def rules(using: str) -> tuple[Rule, ...]:
    """Return all triggers that are enabled: those of the settings, then the rows."""
    return (*_of_settings.of(), *_rows.of(using))


def _read_rows(using: str) -> tuple[Rule, ...]:
    rows = Trigger.objects.using(using).filter(enabled=True).order_by("name").values(*COLUMNS)
    return tuple(_rule(row) for row in rows)


_rows = KeptRules(_read_rows)


def _declared(name: str, given: Any) -> Rule | None:
    from runtime.operations.triggers import checked

    values = checked(name, given)
    return _rule(values) if values["enabled"] else None


_of_settings = DeclaredRules("TRIGGERS", _declared)


def _rule(values: Mapping[str, Any]) -> Rule:
    return Rule(**{name: values[name] for name in COLUMNS if name != "enabled"})


def fire(using: str, items: Sequence[WorkItem]) -> list[Triggered]:
    """Return what the triggers make of these ends, and have workers woken at the commit.

    What an engine or a payload map gets wrong is told in the answer and in the log: the end of an item is never undone
    for it. Each build stands in a savepoint, because an engine's own check may ask the database.
    """
    known = rules(using)
    found = [one for item in items for rule in known if rule.covers(item) for one in _fired(using, rule, item)]
    made = [one.child.id for one in found if one.child is not None]
    if made:
        told = partial(instrument.enqueued, using, made, due=True)
        transaction.on_commit(told, using=using, robust=True)
    return found


def _fired(using: str, rule: Rule, item: WorkItem) -> list[Triggered]:
    try:
        scope = scope_of(using, item, rule.roots)
        if rule.condition and not conditions.condition(rule.condition).holds(scope):
            return []
        _require_room(using, item)
        with transaction.atomic(using=using):
            child = build_child(rule, item, scope, using=using)
    except Exception as error:  # noqa: BLE001 - an engine's own check may raise anything
        words = in_words(error)
        logger.warning("trigger %s cannot fire for item %s: %s", rule.name, item.pk, words)
        return [_triggered(rule, item, {"trigger": rule.name}, error=words)]
    data = {"child": str(child.id), "engine": child.engine, "trigger": rule.name}
    return [_triggered(rule, item, data, child=child)]


def _triggered(rule: Rule, item: WorkItem, data: Mapping[str, Any], **made: Any) -> Triggered:
    return Triggered(item=item.pk, by=rule.name, kinds=KINDS, data=data, **made)


def in_words(error: Exception) -> str:
    """Return an error as an event tells it, whatever the database holds."""
    return f"{type(error).__name__}: {error}".replace("\x00", "").encode(errors="replace").decode()[:MAX_ERROR]


def _require_room(using: str, item: WorkItem) -> None:
    """Raise `Conflict` when as many triggers as may follow each other have led to the item.

    Conditions that always hold, or two people who each close half of a ring at once, make rings that no look at the
    triggers finds: this ends them.
    """
    most = roost.TRIGGER_CHAIN
    if item.parent_id is not None and triggers_before(using, item.pk, most) >= most:
        raise Conflict(
            _(
                "%(most)s triggers in a row have led to item %(item)s, which is all that ROOST_TRIGGER_CHAIN "
                "allows: they may lead in a ring. Mend a condition, or allow more.",
                most=most,
                item=item.pk,
            ),
            state=item.state,
        )


def build_child(rule: Rule, item: WorkItem, scope: Mapping[str, Any], *, using: str) -> NewItem:
    """Return the item that a trigger enqueues. Raises `InvalidInput`, `UnknownEngine`, `EngineLoadError`."""
    return build(
        rule.target,
        conditions.filled(rule.payload, scope),
        namespace=item.namespace,
        parent=item.pk,
        relation=RELATION,
        actor=f"trigger:{rule.name}",
        using=using,
        **item_options.for_enqueue(rule.options),
    )


def default_payload(on: str) -> str:
    """Return the payload map of a trigger that has none: the result, or the error."""
    return "$error" if on == State.FAILED else "$result"


def scope_of(using: str, item: WorkItem, roots: Collection[str]) -> dict[str, Any]:
    """Return what conditions and paths look into; the state is read only if it is looked at."""
    # In the transaction that moves the item, state and reason may be members of an enumeration, which are no JSON.
    told = {name: str(getattr(item, name)) for name in ("engine", "namespace", "state", "reason")}
    scope = {
        "result": _whole(roots, item, "result", item.result),
        "payload": _whole(roots, item, "payload", item.payload),
        "error": item.last_error,
        "item": {"id": str(item.pk), **told},
    }
    if "state" in roots:
        latest = Snapshot.objects.using(using).filter(work_item_id=item.pk, version=item.version)
        scope["state"] = _whole(roots, item, "state", latest.values_list("data", flat=True).first())
    return scope


def _whole(roots: Collection[str], item: WorkItem, name: str, value: Any) -> Any:
    """Return a value; one in the artifact storage is read only if it is looked at."""
    return offload.whole(value, f"{name} of work item {item.pk}") if name in roots else value
