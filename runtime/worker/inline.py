"""Write the journal on the connection of the test that runs a step: its transaction is one that nobody else can see.

In a worker the journal is written beside the step's transaction and outlives it. Here it is inside, and what a failed
atomic step takes with it is written again.
"""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction

from runtime import faults
from runtime.exceptions import JournalRefused
from runtime.journal.entries import Answer, Found, Write
from runtime.store.base import Store
from runtime.store.guard import lifted
from runtime.store.values import Held

BUSY_SECONDS = 0.01


class InlineJournal:
    """The journal of one step at a time."""

    own_thread = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: list[Write] = []

    def write(self, write: Write) -> Found:
        """Write at once. What a process that dies here has written is kept from the test's rollbacks as well."""
        with faults.around("journal"):
            while (found := self._write(write)).answer is Answer.BUSY:
                time.sleep(BUSY_SECONDS)
            self._keep(write)
        return found

    def _keep(self, write: Write) -> None:
        """Remember the writes of the step that is being made, and no others."""
        if self._written and _step(self._written[-1]) != _step(write):
            self._written.clear()
        self._written.append(write)

    async def awrite(self, write: Write) -> Found:
        """Do so in the test's own thread."""
        return await sync_to_async(self.write)(write)

    def rolled_back(self, held: Held) -> None:
        """Bring back what was rolled back with the step."""
        for write in self._written:
            if Held(write.place.item, write.place.epoch) == held:
                self._write(write)

    def _write(self, write: Write) -> Found:
        try:
            with lifted(self._store.using), transaction.atomic(using=self._store.using):
                return self._store.journal([write])[0]
        except (DatabaseError, ValueError) as error:
            raise JournalRefused(f"The database refused it: {error}") from error


def _step(write: Write) -> tuple[Held, int]:
    return Held(write.place.item, write.place.epoch), write.place.version
