"""Let a worker that ends when it is idle stay for what comes due without anybody's doing: work under the leases of the
dead, and what the clock has made due and nobody has seen to.

Waits, delays and schedules whose time is still to come are not waited for, nor is what a living worker runs.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from runtime import clock
from runtime.choices import WorkerState
from runtime.models import Lease, Worker
from runtime.worker import takeover

logger = logging.getLogger("roost.worker")

LOOK_SECONDS = 0.5
"""Between two looks while somebody is waited for."""


class LastLook:
    """Whether anything may come due yet, for one worker that has nothing to do.

    A lease counts until its worker has been heard of: it beats within a beat if it lives, and if it does not the sweep
    takes the item back, when the lease has expired at the latest. So do leases in this worker's own name, which it
    gives back once it finds that it does not know of them.
    Each of `tasks` does what nobody else may be there to do and says whether it found something; `due` says whether an
    item is due, `settled` whether an expired lease says something yet.
    """

    def __init__(
        self,
        using: str,
        worker: uuid.UUID,
        tasks: Sequence[Callable[[], bool]],
        *,
        due: Callable[[], bool],
        settled: Callable[[], bool],
    ) -> None:
        self._using = using
        self._worker = worker
        self._tasks = tasks
        self._due = due
        self._settled = settled
        self._since: dt.datetime | None = None
        self._look_at = 0.0
        self.over = False

    def forget(self) -> None:
        """Begin anew: there was something to do."""
        self.over, self._since = False, None

    def look(self) -> bool:
        """Look, if it is time to; return whether something may be due now. Raises Django's database errors."""
        now = time.monotonic()
        if self.over or now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        if self._since is None:
            self._since = clock.now(self._using)
        if not self._settled():
            return False
        if any(task() for task in self._tasks):
            return True
        if self._is_somebody_silent(self._since):
            return False
        # What was taken back just before, by whoever it was, has no lease any more, and is due.
        self.over = not self._due()
        return not self.over

    def _is_somebody_silent(self, since: dt.datetime) -> bool:
        """Say whether a lease is left of a worker that has not been heard of since then."""
        living = takeover.find_living(self._using)
        heard = Worker.objects.using(self._using).filter(heartbeat_at__gte=since).exclude(state=WorkerState.OFFLINE)
        others = set(heard.exclude(pk=self._worker).values_list("pk", flat=True)).union(living) - {self._worker}
        silent = Lease.objects.using(self._using).exclude(worker__in=others)
        found = silent.order_by("expires_at").values_list("work_item_id", flat=True).first()
        if found is not None:
            logger.debug("waits for the lease of item %s to end, or its worker to beat", found)
        return found is not None
