"""Know the triggers, and build what they make of the end of an item.

Triggers are rows and the setting ROOST_TRIGGERS. Rows are read at most once a second in each process, so a trigger
that was set, changed or removed holds within a second everywhere, and an end without triggers costs no query.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.db import connections, transaction

from runtime import conditions, instrument, offload
from runtime.choices import State
from runtime.conf import settings as roost
from runtime.exceptions import Conflict
from runtime.models import Snapshot, Trigger, WorkItem
from runtime.operations import item_options
from runtime.operations.spec import build
from runtime.store.ancestry import triggers_before
from runtime.store.children import TRIGGERED
from runtime.store.triggered import Triggered
from runtime.store.values import NewItem

logger = logging.getLogger("roost.triggers")

RELATION = TRIGGERED
KEPT_SECONDS = 1.0
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


_kept: dict[str, tuple[float, tuple[Rule, ...]]] = {}


def forget() -> None:
    """Have the triggers read anew."""
    _kept.clear()


def active(using: str) -> bool:
    """Say whether there are any triggers."""
    return bool(roost.TRIGGERS or _rows(using))


def rules(using: str) -> tuple[Rule, ...]:
    """Return all triggers that are enabled: those of the settings, then the rows."""
    return (*_of_settings(), *_rows(using))


def _rows(using: str) -> tuple[Rule, ...]:
    until, kept = _kept.get(using, (0.0, ()))
    if time.monotonic() < until:
        return kept
    rows = Trigger.objects.using(using).filter(enabled=True).order_by("name").values(*COLUMNS)
    found = tuple(_rule(row) for row in rows)
    # What an open transaction shows may be undone; that there is nothing does no harm for a second.
    if not found or not connections[using].in_atomic_block:
        _kept[using] = (time.monotonic() + KEPT_SECONDS, found)
    return found


def _of_settings() -> tuple[Rule, ...]:
    given = roost.TRIGGERS
    return _read(json.dumps(given, default=str, skipkeys=True)) if given else ()


@lru_cache(maxsize=8)
def _read(text: str) -> tuple[Rule, ...]:
    """Read the setting. What is no trigger is left out, and told by a system check: an end must not fail for it."""
    from runtime.operations.triggers import checked

    found: list[Rule] = []
    for name, one in json.loads(text).items():
        try:
            values = checked(name, one)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is left out
            logger.error("ROOST_TRIGGERS[%r]: %s", name, error)
            continue
        if values["enabled"]:
            found.append(_rule(values))
    return tuple(found)


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
        scope = _scope(using, rule, item)
        if rule.condition and not conditions.condition(rule.condition).holds(scope):
            return []
        _require_room(using, item)
        with transaction.atomic(using=using):
            return [Triggered(item=item.pk, trigger=rule.name, child=build_child(rule, item, scope, using=using))]
    except Exception as error:  # noqa: BLE001 - an engine's own check may raise anything
        words = f"{type(error).__name__}: {error}".replace("\x00", "").encode(errors="replace").decode()[:MAX_ERROR]
        logger.warning("trigger %s cannot fire for item %s: %s", rule.name, item.pk, words)
        return [Triggered(item=item.pk, trigger=rule.name, error=words)]


def _require_room(using: str, item: WorkItem) -> None:
    """Raise `Conflict` when as many triggers as may follow each other have led to the item.

    Conditions that always hold, or two people who each close half of a ring at once, make rings that no look at the
    triggers finds: this ends them.
    """
    most = roost.TRIGGER_CHAIN
    if item.parent_id is not None and triggers_before(using, item.pk, most) >= most:
        raise Conflict(
            f"{most} triggers in a row have led to item {item.pk}, which is all that ROOST_TRIGGER_CHAIN allows: "
            f"they may lead in a ring. Mend a condition, or allow more.",
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


def _scope(using: str, rule: Rule, item: WorkItem) -> dict[str, Any]:
    """Return what conditions and paths look into; the state is read only if it is looked at."""
    scope = {
        "result": _whole(rule, item, "result", item.result),
        "payload": _whole(rule, item, "payload", item.payload),
        "error": item.last_error,
        "item": {"id": str(item.pk), "engine": item.engine, "namespace": item.namespace, "reason": item.reason},
    }
    if "state" in rule.roots:
        latest = Snapshot.objects.using(using).filter(work_item_id=item.pk, version=item.version)
        scope["state"] = _whole(rule, item, "state", latest.values_list("data", flat=True).first())
    return scope


def _whole(rule: Rule, item: WorkItem, name: str, value: Any) -> Any:
    """Return a value; one in the artifact storage is read only if the rule looks at it."""
    return offload.whole(value, f"{name} of work item {item.pk}") if name in rule.roots else value
