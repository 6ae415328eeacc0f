"""Build a new item: check everything a caller hands in and freeze what the engine and the settings add.

Used by `enqueue` and by `ctx.spawn`. Nothing is stored here; the first thing wrong raises `InvalidInput`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

from runtime import clock, jsondata, offload, registry
from runtime.conf import settings as roost
from runtime.engine import Engine
from runtime.exceptions import InvalidInput
from runtime.models.workitem import new_id
from runtime.operations import fields
from runtime.operations.resources import NONE, normalise
from runtime.sentences import say as _
from runtime.step import ChildOptions
from runtime.store import work_database
from runtime.store.values import NewItem

Default = TypeVar("Default", int, int | None)

DEFAULT_NAMESPACE = "default"
DEFAULT_POOL = "default"


class ItemOptions(ChildOptions, total=False):
    """What may be said about a new item besides its engine and payload: what a child takes, and whose it is."""

    namespace: str
    """Tenant; a child lives in its parent's. Default "default"."""
    idempotency_key: str | None
    """A second enqueue with the same key, engine and payload gives the first item."""
    parent: uuid.UUID | str | None
    """Id of the item this one is a child of."""
    relation: str
    """What the child is to its parent, in a word."""
    item_id: uuid.UUID | str | None
    """Id to give the item, when the caller needs it beforehand; None makes one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What an engine and the settings give each item, frozen at enqueue. `config` is JSON text."""

    name: str
    engine: Engine
    version: str
    config: str | None
    max_attempts: int
    step_timeout: float | None
    item_timeout: float | None
    max_steps: int | None
    max_payload_bytes: int
    max_depth: int


def terms(engine: Any) -> Terms:
    """Return the terms of the engine of that name now. Raises `UnknownEngine`, `EngineLoadError`, `InvalidInput`."""
    name = fields.text(engine, "engine", limit=100)
    found = registry.get(name)
    config = found.config()
    return Terms(
        name=name,
        engine=found,
        version=fields.text(found.version, "engine version", limit=50),
        config=None if config is None else jsondata.dumps(config, what="config", max_bytes=roost.MAX_PAYLOAD_BYTES),
        max_attempts=roost.MAX_ATTEMPTS if found.retry is None else found.retry.max_attempts,
        step_timeout=roost.STEP_TIMEOUT if found.step_timeout is None else found.step_timeout,
        item_timeout=roost.ITEM_TIMEOUT,
        max_steps=roost.MAX_STEPS,
        max_payload_bytes=roost.MAX_PAYLOAD_BYTES,
        max_depth=roost.MAX_JSON_DEPTH,
    )


def build(
    engine: str | Terms,
    payload: Any = None,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    idempotency_key: str | None = None,
    delay: float | dt.timedelta = 0,
    run_at: dt.datetime | None = None,
    priority: int = 0,
    deadline: dt.datetime | dt.timedelta | None = None,
    resources: Sequence[str | Mapping[str, Any]] = (),
    fair_key: str = "",
    pool: str = DEFAULT_POOL,
    parent: uuid.UUID | str | None = None,
    relation: str = "",
    max_attempts: int | None = None,
    max_steps: int | None = None,
    pause_after: int | None = None,
    step_timeout: float | dt.timedelta | None = None,
    item_timeout: float | dt.timedelta | None = None,
    item_id: uuid.UUID | str | None = None,
    actor: str = "",
    using: str | None = None,
    now: dt.datetime | None = None,
) -> NewItem:
    """Return the item that these options describe (see `ItemOptions`), ready for `Store.insert`.

    `engine` is a name, or `Terms` when many items share them. `now` is the database's time, asked for only if there
    is a deadline: without one this touches no database. Raises `InvalidInput`, `UnknownEngine` or `EngineLoadError`.
    """
    given = engine if isinstance(engine, Terms) else terms(engine)
    return NewItem(
        id=new_id() if item_id is None else parse_item_id(item_id, "item_id"),
        namespace=namespace if namespace == DEFAULT_NAMESPACE else fields.name(namespace, "namespace"),
        engine=given.name,
        engine_version=given.version,
        pool=pool if pool == DEFAULT_POOL else fields.name(pool, "pool"),
        payload=_payload(given, payload),
        config=given.config,
        priority=fields.whole(priority, "priority", fields.SMALLINT),
        fair_key="" if fair_key == "" else fields.text(fair_key, "fair_key", limit=200),
        parent_id=None if parent is None else parse_item_id(parent, "parent"),
        relation="" if relation == "" else fields.name(relation, "relation", limit=50),
        idempotency_key=None if idempotency_key is None else fields.text(idempotency_key, "idempotency_key", limit=200),
        actor=actor[:200],
        **_claims(resources),
        **_times(delay, run_at, deadline, using, now),
        **_bounds(given, max_attempts, max_steps, pause_after, step_timeout, item_timeout),
    )


class _Claims(TypedDict):
    resources: str
    limited: bool


def _claims(resources: Sequence[str | Mapping[str, Any]]) -> _Claims:
    """Return the resources that the item needs to run."""
    claims = NONE if resources == () else normalise(resources)
    return {"resources": claims, "limited": claims is not NONE}


class _Times(TypedDict):
    delay: float
    run_at: dt.datetime | None
    deadline_at: dt.datetime | None


def _times(
    delay: float | dt.timedelta,
    run_at: dt.datetime | None,
    deadline: dt.datetime | dt.timedelta | None,
    using: str | None,
    now: dt.datetime | None,
) -> _Times:
    """Return when the item begins and when it has to be done."""
    wait, at = _due(delay, run_at)
    until = None if deadline is None else _deadline(deadline, wait, at, using, now)
    return {"delay": wait, "run_at": at, "deadline_at": until}


class _Bounds(TypedDict):
    max_attempts: int
    max_steps: int | None
    pause_at_step: int | None
    step_timeout: float | None
    item_timeout: float | None


def _bounds(
    given: Terms,
    max_attempts: int | None,
    max_steps: int | None,
    pause_after: int | None,
    step_timeout: float | dt.timedelta | None,
    item_timeout: float | dt.timedelta | None,
) -> _Bounds:
    """Return how much the item may use: what was said of it, else what its engine and the settings give."""
    return {
        "max_attempts": _whole(max_attempts, "max_attempts", fields.INT, given.max_attempts),
        "max_steps": _whole(max_steps, "max_steps", fields.BIGINT, given.max_steps),
        "pause_at_step": _whole(pause_after, "pause_after", fields.BIGINT, None),
        "step_timeout": _seconds(step_timeout, "step_timeout", given.step_timeout),
        "item_timeout": _seconds(item_timeout, "item_timeout", given.item_timeout),
    }


def _payload(given: Terms, payload: Any) -> str:
    text = jsondata.dumps(payload, what="payload", max_bytes=given.max_payload_bytes, depth=given.max_depth)
    offload.refuse_reference(text, "payload")
    try:
        given.engine.check_payload(payload)
    except InvalidInput as error:
        error.field = error.field or "payload"
        raise
    return text


def _due(delay: float | dt.timedelta, run_at: dt.datetime | None) -> tuple[float, dt.datetime | None]:
    wait = 0.0 if delay == 0 and delay is not False else fields.seconds(delay, "delay")
    if run_at is None:
        return wait, None
    if wait:
        raise InvalidInput(_("delay and run_at both say when the item is due. Give one of them."), field="run_at")
    return 0.0, fields.moment(run_at, "run_at")


def _deadline(
    value: dt.datetime | dt.timedelta, wait: float, at: dt.datetime | None, using: str | None, now: dt.datetime | None
) -> dt.datetime:
    moment = clock.now(using or work_database()) if now is None else now
    due = moment + dt.timedelta(seconds=wait) if at is None else at
    return fields.deadline(value, now=moment, due=due)


def _whole(value: Any, field: str, bounds: tuple[int, int], default: Default) -> int | Default:
    return default if value is None else fields.whole(value, field, bounds)


def _seconds(value: Any, field: str, default: float | None) -> float | None:
    return default if value is None else fields.seconds(value, field, positive=True)


def parse_item_id(value: Any, field: str = "item") -> uuid.UUID:
    """Return the id as a UUID. Raises `InvalidInput`."""
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(
            _("%(field)s %(value)r is no work item id (a UUID).", field=field, value=value), field=field
        ) from None
