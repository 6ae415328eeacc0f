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
from runtime.operations.forked import is_that_fork
from runtime.operations.idempotency import place
from runtime.sentences import say as _
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
    snapshot's data, `payload` and `engine_version` those of the original. A deadline is not taken over.

    With an `idempotency_key` a repeated call returns the first fork, whatever became of the original since: only what
    the call says itself has to be what the fork has.
    """

    verb = _("fork")
    participle = _("forked")
    permission = "fork_workitem"
    made = False
    """Whether `execute` stored the fork; else it found the one that has the key."""

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

        def look() -> None:
            original = self._original()
            if self._made_before(original) is None:
                self._plan(original)

        transacted(self.store.using, look)

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
            fork, self.made = transacted(using, self._fork)
        if self.made:
            told = partial(instrument.enqueued, using, [fork], due=not self.delay)
            transaction.on_commit(told, using=using, robust=True)
        found: WorkItem = WorkItem.objects.using(using).get(pk=fork)
        return found

    def _fork(self) -> tuple[uuid.UUID, bool]:
        using = self.store.using
        original = self._original()
        # Whoever forked it under this key before has committed: it held the original's lock.
        before = self._made_before(original)
        if before is not None:
            return before, False
        source, item = self._plan(original)
        [stored], inserted = place(self.store, [item])
        if not inserted:
            self._require_same(original, stored)
            return stored, False
        now = clock.now(using)
        told = {"actor": self.actor, "reason": self.reason, "click": self.click}
        forks.write(using, original, stored, source.version, self.state, now, **told)
        return stored, True

    def _original(self) -> WorkItem:
        """Return the item with its row locked. Raises `NotFound`, also for one out of reach."""
        original = forks.lock_original(self.store.using, self.item_id)
        self._require_reached(original)
        return original

    def _made_before(self, original: WorkItem) -> uuid.UUID | None:
        """Return the fork that has the key, None when the key is free. Raises `IdempotencyConflict`."""
        if self.key is None:
            return None
        rows = WorkItem.objects.using(self.store.using)
        holder = (
            rows.filter(namespace=original.namespace, idempotency_key=self.key).values_list("pk", flat=True).first()
        )
        if holder is not None:
            self._require_same(original, holder)
        return holder

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
                _(
                    "Work item %(original)s is %(state)s at version %(version)s and has no snapshot of version "
                    "%(wanted)s. It has: %(kept)s.",
                    original=original.pk,
                    state=original.state,
                    version=original.version,
                    wanted=version,
                    kept=kept_versions(self.store.using, original.pk),
                ),
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

    def _require_same(self, original: WorkItem, stored: uuid.UUID) -> None:
        """Raise `IdempotencyConflict` unless the holder of the key is a fork as the call asks for it."""
        holder = WorkItem.objects.using(self.store.using).get(pk=stored)
        if is_that_fork(
            holder,
            original,
            version=self.version,
            state=self.state,
            payload=original.payload if self.payload is KEPT else self.payload,
            engine_version=self.engine_version or original.engine_version,
        ):
            return
        raise IdempotencyConflict(
            _(
                "The idempotency key %(key)r is taken by work item %(stored)s, which is not this fork of "
                "%(original)s. Send what was sent first, or use a new key.",
                key=self.key,
                stored=stored,
                original=original.pk,
            ),
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
