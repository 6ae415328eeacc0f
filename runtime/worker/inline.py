"""Write the journal on the connection of the test that runs a step: its transaction is one that nobody else can see.

In a worker the journal is written beside the step's transaction and outlives it. Here it is inside, and what a failed
atomic step takes with it is written again.
"""

from __future__ import annotations

import time

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction

from runtime.exceptions import JournalRefused
from runtime.journal.entries import Answer, Found, Write
from runtime.store.base import Store
from runtime.store.guard import lifted

BUSY_SECONDS = 0.01


class InlineJournal:
    """The journal of one step at a time."""

    own_thread = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: list[Write] = []

    def begin_step(self) -> None:
        """Forget the writes of the step before."""
        self._written.clear()

    def write(self, write: Write) -> Found:
        """Write at once."""
        self._written.append(write)
        while True:
            found = self._write(write)
            if found.answer is not Answer.BUSY:
                return found
            time.sleep(BUSY_SECONDS)

    async def awrite(self, write: Write) -> Found:
        """Do so in the test's own thread."""
        return await sync_to_async(self.write)(write)

    def write_again(self) -> None:
        """Bring back what was rolled back with the step."""
        for write in self._written:
            self._write(write)

    def _write(self, write: Write) -> Found:
        try:
            with lifted(self._store.using), transaction.atomic(using=self._store.using):
                return self._store.journal([write])[0]
        except (DatabaseError, ValueError) as error:
            raise JournalRefused(f"The database refused it: {error}") from error
