"""Where a store is checked: items, workers and resources of its own, in a test database, gone afterwards."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from django.db import connections

from runtime import clock
from runtime.choices import State
from runtime.conformance.hand import Hand, new_item
from runtime.conformance.report import Broken, require
from runtime.models import Event, Lease, Resource, Snapshot, Worker, WorkItem
from runtime.models.workitem import new_id
from runtime.store.base import Store
from runtime.store.values import Move

PATIENCE = 20.0


class Stage:
    """A namespace and an engine that nobody else has, so that a claim finds what was put here and nothing else."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.using = store.using
        self.name = f"conformance-{uuid.uuid4().hex[:12]}"
        self._workers: list[uuid.UUID] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove what was made here."""
        WorkItem.objects.using(self.using).filter(namespace=self.name).delete()
        Resource.objects.using(self.using).filter(namespace=self.name).delete()
        Worker.objects.using(self.using).filter(pk__in=self._workers).delete()

    # What a check does ----------------------------------------------------------------------------------------------

    def new(self, **values: Any) -> Any:
        """Return an item of this stage that can be inserted."""
        return new_item(**{"namespace": self.name, "engine": self.name, **values})

    def put(self, **values: Any) -> uuid.UUID:
        """Insert an item and return its id."""
        item = self.new(**values)
        require(self.store.insert([item]) == {item.id}, "insert did not return the id of the item that it inserted.")
        return item.id  # type: ignore[no-any-return]

    def hand(self) -> Hand:
        """Return a worker who claims what was put here."""
        now = clock.now(self.using)
        row = Worker.objects.using(self.using).create(
            host=self.name, pid=len(self._workers) + 1, capacity=50, started_at=now, heartbeat_at=now, id=new_id()
        )
        self._workers.append(row.pk)
        return Hand(self.store, row.pk, (self.name,))

    def move(self, pk: uuid.UUID, kind: str, **values: Any) -> WorkItem:
        """Move an item as an operator would."""
        found, changed = self.store.move(pk, lambda _: Move(kind=kind, **values), actor="ann", reason="because")
        require(changed, "move says that nothing was changed.")
        return found

    def cancel(self, pk: uuid.UUID) -> WorkItem:
        """Cancel an item."""
        return self.move(pk, "cancelled", state=State.CANCELLED, reason="", fence=True)

    def requeue(self, pk: uuid.UUID) -> WorkItem:
        """Take an item away from whoever runs it."""
        return self.move(pk, "requeued", state=State.QUEUED, reason="requeued", fence=True)

    # What a check looks at ------------------------------------------------------------------------------------------

    def items(self) -> list[WorkItem]:
        """Read all items of this stage, in the order in which they were made."""
        return list(WorkItem.objects.using(self.using).filter(namespace=self.name).order_by("id"))

    def item(self, pk: uuid.UUID) -> WorkItem:
        """Read an item."""
        found: WorkItem = WorkItem.objects.using(self.using).get(pk=pk)
        return found

    def leases(self) -> dict[uuid.UUID, Lease]:
        """Read the leases on items of this stage."""
        return {one.pk: one for one in Lease.objects.using(self.using).filter(work_item__namespace=self.name)}

    def versions(self, pk: uuid.UUID) -> list[int]:
        """Read the versions of an item's snapshots."""
        rows = Snapshot.objects.using(self.using).filter(work_item=pk).order_by("version")
        return list(rows.values_list("version", flat=True))

    def kinds(self, pk: uuid.UUID) -> list[str]:
        """Read the kinds of an item's events, and require that they are numbered without a gap."""
        events = list(Event.objects.using(self.using).filter(work_item=pk).order_by("seq"))
        numbers = [event.seq for event in events]
        wanted = list(range(1, self.item(pk).event_seq + 1))
        require(numbers == wanted, f"The events of an item are numbered {numbers}, and event_seq says {wanted[-1:]}.")
        return [event.kind for event in events]

    def traces(self, pk: uuid.UUID) -> tuple[Any, ...]:
        """Read everything that a write about an item could change."""
        of_item = {"work_item": pk}
        return (
            WorkItem.objects.using(self.using).filter(pk=pk).values().get(),
            list(Event.objects.using(self.using).filter(**of_item).order_by("seq").values()),
            list(Snapshot.objects.using(self.using).filter(**of_item).order_by("version").values()),
            list(Lease.objects.using(self.using).filter(**of_item).values()),
        )


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make calls at once, each in a thread with a connection of its own; return what they return, in order.

    Raises what any of them raised, and `Broken` when one waits for ever.
    """
    answers: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(place: int) -> None:
        try:
            barrier.wait(PATIENCE)
            answers[place] = calls[place]()
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[place], daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        if thread.is_alive():
            raise Broken("Calls that were made at once wait for each other for ever.")
    if errors:
        raise errors[0]
    return answers
