"""Build the children that steps spawn: checked when the step says so, stored with its commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from runtime.conf import settings as roost
from runtime.engine import Fail, FunctionEngine
from runtime.exceptions import InvalidInput
from runtime.operations.spec import Terms, build
from runtime.sentences import say as _
from runtime.step import ChildOptions
from runtime.store.values import Claimed, NewItem

ALLOWED = tuple(ChildOptions.__annotations__)
INHERITED = ("pool", "priority", "fair_key")
"""Options that a child takes from its parent where nothing is said of them."""

_ANY = FunctionEngine(lambda state: Fail("This engine stands for any other, and makes no step."))


def build_child(
    parent: Claimed, now: dt.datetime, engine: str, payload: Any, relation: str, options: Mapping[str, Any]
) -> NewItem:
    """Return the child of a running item, ready for the store; `now` is the database's time.

    Raises `InvalidInput` (naming the field), `UnknownEngine` or `EngineLoadError`. Touches no database.
    """
    inherited = {name: getattr(parent, name) for name in INHERITED}
    return build(
        engine,
        payload,
        namespace=parent.namespace,
        parent=parent.id,
        relation=relation,
        actor=f"item:{parent.id}",
        now=now,
        **(inherited | _checked(options)),
    )


def check_child(engine: str, payload: Any, relation: str, options: Mapping[str, Any]) -> NewItem:
    """Return the child as far as it can be told without its parent and without its engine, which need not exist."""
    terms = Terms(
        name=engine,
        engine=_ANY,
        version=_ANY.version,
        config=None,
        max_attempts=roost.MAX_ATTEMPTS,
        step_timeout=None,
        item_timeout=None,
        max_steps=None,
        max_payload_bytes=roost.MAX_PAYLOAD_BYTES,
        max_depth=roost.MAX_JSON_DEPTH,
    )
    return build(terms, payload, relation=relation, now=timezone.now(), **_checked(options))


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given. What they say is checked when an item is built from them."""
    if unknown := [name for name in options if name not in ALLOWED]:
        raise InvalidInput(
            _(
                "spawn() takes no %(names)s; it takes relation, %(allowed)s. A child's namespace, parent and id are "
                "given by the step that spawns it.",
                names=", ".join(unknown),
                allowed=", ".join(ALLOWED),
            ),
            field=unknown[0],
        )
    return {name: value for name, value in options.items() if value is not None}
