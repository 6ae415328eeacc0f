"""Send a signal to an item, or to whoever waits for its name."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, Unpack

from django.db import transaction

from runtime import instrument, jsondata, reach
from runtime.choices import TERMINAL, EventKind
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.models.workitem import new_id
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions, actor_name, check_permission, parse_id, require_reach
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.sentences import say as _
from runtime.store import get_store
from runtime.store.transactions import transacted
from runtime.store.values import Move, NewSignal


class SendSignal:
    """Keep a signal until somebody takes it, and wake who waits for it.

    With `item` it is for that item alone; else for whoever waits for the name in the `namespace`: the oldest wait gets
    the oldest signal, each signal goes to one. It may come before anybody waits. A second signal with the same
    `delivery_id` is the first one, so that whoever does not know whether it arrived may send it again.
    """

    verb = _("signal")
    permission = "send_signal"
    made = False
    """Whether `execute` kept the signal; else it found the one that has the delivery id."""

    def __init__(
        self,
        name: str,
        payload: Any = None,
        *,
        item: uuid.UUID | str | None = None,
        namespace: str | None = None,
        delivery_id: str | None = None,
        by: Any = None,
        actor: str = "",
        using: str | None = None,
    ) -> None:
        if item is not None and namespace is not None:
            raise InvalidInput(_("A signal goes to an item or to a namespace. Give one of them."), field="namespace")
        self.by = by
        self.store = get_store(using)
        self.signal = NewSignal(
            id=new_id(),
            namespace=DEFAULT_NAMESPACE if namespace is None else fields.name(namespace, "namespace"),
            name=fields.text(name, "name", limit=200),
            payload=jsondata.loads(jsondata.dumps(payload, what="payload", max_bytes=roost.MAX_PAYLOAD_BYTES)),
            target=None if item is None else parse_id(item),
            delivery_id=None if delivery_id is None else fields.text(delivery_id, "delivery_id", limit=200),
            actor=actor_name(by, actor),
        )

    def check(self) -> None:
        """Raise `Forbidden` unless `by` may send signals there, `NotFound` for an item out of reach."""
        check_permission(self.by, self.permission, self.verb)
        target = self.signal.target
        if target is None:
            require_reach(self.by, self.signal.namespace)
        elif reach.of(self.by) is not None:
            rows = WorkItem.objects.using(self.store.using).filter(pk=target)
            namespace = rows.values_list("namespace", flat=True).first()
            if namespace is not None:  # else the store says that there is no such item
                missing = NotFound(_("There is no work item %(target)s.", target=target))
                require_reach(self.by, namespace, missing)

    def execute(self) -> uuid.UUID:
        """Send it and return the signal's id. One transaction; joins the caller's."""
        self.check()
        kept, moved = self.store.signal(self.signal)
        self.made = kept == self.signal.id
        for item in moved:
            told = partial(instrument.moved, self.store.using, item, self.verb)
            transaction.on_commit(told, using=self.store.using, robust=True)
        return kept


class SignalItem(ItemOperation):
    """Send a signal to one live item in a person's name, with a reason; its history tells who and why.

    The item takes it when it waits for that name, now or later. The event and the signal are one transaction.
    """

    verb = _("signal")
    participle = _("signalled")
    permission = "send_signal"

    def __init__(self, item: uuid.UUID | str, name: str, payload: Any = None, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.sent = SendSignal(name, payload, item=self.item_id, actor=self.actor, using=self.store.using)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for an item that has ended."""
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended and takes no signal any more."))
        signal = self.sent.signal
        return Move(kind=EventKind.SIGNALLED, data={"signal": str(signal.id), "name": signal.name, "by": self.actor})

    def execute(self) -> WorkItem:
        """Send it and return the item. One transaction; joins the caller's."""

        def once() -> WorkItem:
            super(SignalItem, self).execute()
            self.sent.execute()
            found: WorkItem = WorkItem.objects.using(self.store.using).get(pk=self.item_id)
            return found

        return transacted(self.store.using, once)


def send_signal(
    name: str,
    payload: Any = None,
    *,
    item: uuid.UUID | str | None = None,
    namespace: str | None = None,
    delivery_id: str | None = None,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> uuid.UUID:
    """Send a signal and return its id; see `SendSignal`.

    Raises `InvalidInput`, `Forbidden`, `NotFound`, `Conflict` for an item that has ended, and `IdempotencyConflict`
    when the delivery id is taken by another signal.
    """
    return SendSignal(
        name,
        payload,
        item=item,
        namespace=namespace,
        delivery_id=delivery_id,
        by=by,
        actor=actor,
        using=using,
    ).execute()
