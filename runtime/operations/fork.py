"""Begin a new item from where another one has been: another try, with the state, payload or code changed."""

from __future__ import annotations

import json
import uuid
from functools import partial
from typing import Any, Unpack

from django.db import transaction

from runtime import clock, faults, instrument, jsondata, offload, registry
from runtime.conf import settings as roost
from runtime.exceptions import Conflict, IdempotencyConflict
from runtime.models import Snapshot, WorkItem
from runtime.models.workitem import new_id
from runtime.operations import fields
from runtime.operations.base import MoveOptions, OnItem
from runtime.operations.idempotency import place
from runtime.store import fork as forks
from runtime.store.history import kept_versions
from runtime.store.transactions import transacted
from runtime.store.values import NewItem

RELATION = "fork"
KEPT: Any = object()
"""Stands for what is taken over from the original, since None is a state and a payload."""


class Fork(OnItem):
    """Enqueue an item that goes on from Snapshot `version` (None: the latest) of an item in any state.

    The original is not touched, but for one event. The fork is no child of it: it has versions, totals, limits of
    steps and time, and a journal of its own, so calls that the original has recorded are made anew. It takes over
    namespace, engine, configuration, resources, priority, fairness key, pool and limits. `state` replaces the
    snapshot's data, `payload` and `engine_version` those of the original. A deadline is not taken over. With an
    `idempotency_key` a repeated call returns the first fork.
    """

    verb = "fork"
    participle = "forked"
    permission = "fork_workitem"

    def __init__(
        self,
        item: uuid.UUID | str,
        *,
        version: int | None = None,
        state: Any = KEPT,
        payload: Any = KEPT,
        engine_version: str | None = None,
        idempotency_key: str | None = None,
        delay: float = 0.0,
        **options: Unpack[MoveOptions],
    ) -> None:
        super().__init__(item, **options)
        self.version = None if version is None else fields.whole(version, "version", (0, fields.BIGINT[1]))
        self.state = None if state is KEPT else _given(state, "state", roost.MAX_STATE_BYTES)
        self.payload = payload
        if payload is not KEPT:
            _given(payload, "payload", roost.MAX_PAYLOAD_BYTES)
        self.engine_version = engine_version and fields.text(engine_version, "engine version", limit=50)
        self.key = idempotency_key and fields.text(idempotency_key, "idempotency_key", limit=200)
        self.delay = fields.seconds(delay, "delay")

    def check(self) -> None:
        """Raise unless the item could be forked now. Stores nothing."""
        self.check_permission()
        transacted(self.store.using, lambda: self._plan(forks.lock_original(self.store.using, self.item_id)))

    def would_change(self, item: WorkItem) -> bool:
        """Say whether there is a snapshot to go on from. Raises `Conflict` when there is none."""
        self._snapshot(item)
        return True

    def execute(self) -> WorkItem:
        """Store the fork, or find the one that has its key, and return it. One transaction; joins the caller's.

        Raises `NotFound`, `Conflict`, `IdempotencyConflict`, `InvalidInput` or `Forbidden`.
        """
        self.check_permission()
        using = self.store.using
        with faults.around("fork"):
            fork, made = transacted(using, self._fork)
        if made:
            told = partial(instrument.enqueued, using, [fork], due=not self.delay)
            transaction.on_commit(told, using=using, robust=True)
        found: WorkItem = WorkItem.objects.using(using).get(pk=fork)
        return found

    def _fork(self) -> tuple[uuid.UUID, bool]:
        using = self.store.using
        original = forks.lock_original(using, self.item_id)
        source, item = self._plan(original)
        [stored], inserted = place(self.store, [item])
        if not inserted:
            self._require_same(original, source, stored)
            return stored, False
        now = clock.now(using)
        told = {"actor": self.actor, "reason": self.reason, "click": self.click}
        forks.write(using, original, stored, source.version, self.state, now, **told)
        return stored, True

    def _plan(self, original: WorkItem) -> tuple[Snapshot, NewItem]:
        """Return the snapshot to go on from, and the item. Raises `Conflict` or `InvalidInput`."""
        self._require_unchanged(original)
        self._require_kept(original)
        kept = self._snapshot(original)
        if self.payload is not KEPT:
            registry.get(original.engine).check_payload(self.payload)
        return kept, self._item(original)

    def _snapshot(self, original: WorkItem) -> Snapshot:
        version = original.version if self.version is None else self.version
        kept = Snapshot.objects.using(self.store.using).filter(work_item=original, version=version).first()
        if kept is None:
            raise Conflict(
                f"Work item {original.pk} is {original.state} at version {original.version} and has no snapshot of "
                f"version {version}. It has: {kept_versions(self.store.using, original.pk)}.",
                state=original.state,
            )
        return kept

    def _item(self, original: WorkItem) -> NewItem:
        return NewItem(
            id=new_id(),
            namespace=original.namespace,
            engine=original.engine,
            engine_version=self.engine_version or original.engine_version,
            pool=original.pool,
            payload=_text(original.payload if self.payload is KEPT else self.payload),
            config=None if original.config is None else _text(original.config),
            priority=original.priority,
            fair_key=original.fair_key,
            resources=_text(original.resources),
            limited=original.limited,
            delay=self.delay,
            run_at=None,
            deadline_at=None,
            max_attempts=original.max_attempts,
            max_steps=original.max_steps,
            pause_at_step=None,
            step_timeout=original.step_timeout,
            item_timeout=original.item_timeout,
            parent_id=None,
            relation=RELATION,
            idempotency_key=self.key,
            actor=self.actor,
        )

    def _require_same(self, original: WorkItem, source: Snapshot, stored: uuid.UUID) -> None:
        """Raise `IdempotencyConflict` unless the holder of the key is the fork that was asked for."""
        rows = WorkItem.objects.using(self.store.using)
        holder = rows.only("state", "forked_from", "forked_version", "engine_version").get(pk=stored)
        first = Snapshot.objects.using(self.store.using).filter(work_item=stored, version=0).first()
        wanted = source.data if self.state is None else jsondata.loads(self.state)
        same = (
            (holder.forked_from_id, holder.forked_version) == (original.pk, source.version)
            and holder.engine_version == (self.engine_version or original.engine_version)
            and (first is None or jsondata.same_json(first.data, wanted))
        )
        if not same:
            raise IdempotencyConflict(
                f"The idempotency key {self.key!r} is taken by work item {stored}, which is not this fork of "
                f"{original.pk}. Send what was sent first, or use a new key.",
                state=holder.state,
            )


def _given(value: Any, what: str, most: int) -> str:
    text = jsondata.dumps(value, what=what, max_bytes=most)
    offload.refuse_reference(text, what)
    return text


def _text(value: Any) -> str:
    """Return the JSON text of what was stored already, however the limits were changed since."""
    return json.dumps(value, ensure_ascii=False)


def fork(
    item: uuid.UUID | str,
    *,
    version: int | None = None,
    state: Any = KEPT,
    payload: Any = KEPT,
    engine_version: str | None = None,
    idempotency_key: str | None = None,
    delay: float = 0.0,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Fork the item and return the new one; see `Fork`.

    Raises `NotFound`, `Conflict`, `IdempotencyConflict`, `InvalidInput` or `Forbidden`.
    """
    return Fork(
        item,
        version=version,
        state=state,
        payload=payload,
        engine_version=engine_version,
        idempotency_key=idempotency_key,
        delay=delay,
        **options,
    ).execute()
