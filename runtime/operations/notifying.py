"""Know the webhook targets, and enqueue what they are told, in the transaction that it tells of.

Targets are rows and the setting ROOST_WEBHOOK_TARGETS; of two with one name the setting's counts. Rows are read at most
once a second in each process: without any, a commit costs no query more. A delivery is
an item of the engine `webhook_delivery`, in the namespace of the item that it tells of and no child of it: whoever
waits for children, or cancels them, does not mean deliveries. What becomes of a delivery is told to nobody.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from runtime import clock, conditions, instrument
from runtime.choices import EventKind
from runtime.conf import settings as roost
from runtime.deliveries import ENGINE
from runtime.models import WebhookTarget, WorkItem
from runtime.operations import item_options
from runtime.operations.kept_rules import DeclaredRules, KeptRules
from runtime.operations.notices import body_of, event_of, sealed
from runtime.operations.spec import build
from runtime.operations.target_values import declared
from runtime.operations.triggering import in_words, scope_of
from runtime.store.triggered import FOLLOWED, Triggered

logger = logging.getLogger("roost.webhooks")

STATES = FOLLOWED
KINDS = (EventKind.NOTIFIED, EventKind.NOTIFY_FAILED)
COLUMNS = ("name", "events", "namespace", "engine", "condition", "contents", "redact", "options")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A target, read, without its address and secret. `target` is a row's number, or the name in the settings."""

    target: int | str
    name: str
    events: Sequence[str]
    namespace: str
    engine: str
    condition: str
    contents: Sequence[str]
    redact: bool
    options: Mapping[str, Any]

    def covers(self, item: WorkItem) -> bool:
        """Say whether it is told of where the item is, its condition apart. Deliveries are told to nobody."""
        meant = self.engine in ("", item.engine) and self.namespace in ("", item.namespace)
        return meant and item.state in self.events and item.engine != ENGINE


def _read_rows(using: str) -> tuple[Rule, ...]:
    rows = WebhookTarget.objects.using(using).filter(enabled=True).order_by("name").values("id", *COLUMNS)
    return tuple(Rule(target=row.pop("id"), **row) for row in rows)


def _declared(name: str, given: Any) -> Rule | None:
    values = declared(name, given)
    return Rule(target=name, **{column: values[column] for column in COLUMNS}) if values["enabled"] else None


_rows = KeptRules(_read_rows)
_of_settings = DeclaredRules("WEBHOOK_TARGETS", _declared)


def forget() -> None:
    """Have the targets read anew."""
    _rows.forget()


def active(using: str) -> bool:
    """Say whether there are any targets."""
    return bool(roost.WEBHOOK_TARGETS or _rows.of(using))


def rules(using: str) -> tuple[Rule, ...]:
    """Return all targets that are enabled: those of the settings, then the rows of other names."""
    rows = (rule for rule in _rows.of(using) if rule.name not in roost.WEBHOOK_TARGETS)
    return (*_of_settings.of(), *rows)


def fire(using: str, items: Sequence[WorkItem]) -> list[Triggered]:
    """Return the deliveries for these items, and have workers woken at the commit.

    What is wrong with one of them is told in the answer and in the log: an item's move is never undone for it.
    """
    known = rules(using)
    pairs = [(item, rule) for item in items for rule in known if rule.covers(item)]
    if not pairs:
        return []
    now = clock.now(using)
    found = [one for item, rule in pairs for one in _fired(using, rule, item, now)]
    made = [one.child.id for one in found if one.child is not None]
    if made:
        told = partial(instrument.enqueued, using, made, due=True)
        transaction.on_commit(told, using=using, robust=True)
    return found


def _fired(using: str, rule: Rule, item: WorkItem, now: dt.datetime) -> list[Triggered]:
    data = {"target": rule.name, "event": event_of(item)}
    try:
        if not _holds(using, rule, item):
            return []
        with transaction.atomic(using=using):
            body = body_of(using, item, rule.contents, now, redact=rule.redact)
            delivery = build(
                ENGINE,
                sealed(rule.target, data["event"], body),
                namespace=item.namespace,
                actor=f"target:{rule.name}",
                using=using,
                **item_options.for_enqueue(rule.options),
            )
    except Exception as error:  # noqa: BLE001 - the item's move counts for more, whatever is wrong with this
        words = in_words(error)
        logger.warning("target %s cannot be told of item %s: %s", rule.name, item.pk, words)
        return [Triggered(item=item.pk, by=rule.name, data=data, error=words, kinds=KINDS)]
    told = {**data, "delivery": str(delivery.id)}
    return [Triggered(item=item.pk, by=rule.name, data=told, child=delivery, kinds=KINDS)]


def _holds(using: str, rule: Rule, item: WorkItem) -> bool:
    if not rule.condition:
        return True
    condition = conditions.condition(rule.condition)
    return condition.holds(scope_of(using, item, condition.roots))
