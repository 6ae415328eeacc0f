"""Do what is asked under a key once, and tell whoever asks again what came of it.

The key is written in the transaction that does the work, so it is known exactly if the work was done: a request that
fails leaves no key, and two that race wait for one another. A key belongs to whoever used it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from runtime import clock, faults
from runtime.conf import settings as roost
from runtime.exceptions import Conflict, IdempotencyConflict
from runtime.models import DoneRequest
from runtime.store import work_database
from runtime.store.transactions import transacted

T = TypeVar("T")

FORGOTTEN_AT_ONCE = 2
"""Old keys that a new one removes: more than one, so that they never pile up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Who asks, under which key of theirs, and a text of all that they ask for."""

    owner: str
    key: str
    what: str

    @property
    def place(self) -> str:
        """What is kept of the owner and the key."""
        return _hash(f"{self.owner}\n{self.key}")

    @property
    def told(self) -> str:
        """What is kept of what was asked for."""
        return _hash(self.what)


def once(asked: Asked, work: Callable[[], tuple[T, Any]], again: Callable[[Any], T], *, using: str | None = None) -> T:
    """Do `work`, or return what `again` makes of an earlier request's `about`. One transaction; joins the caller's.

    `work` returns its answer, and what to keep for `again`: JSON, or None. Raises `IdempotencyConflict` for a key that
    was used for something else, and what `work` raises: then nothing is kept.
    """
    using = using or work_database()

    def attempt() -> T:
        now = clock.now(using)
        row, fresh = DoneRequest.objects.using(using).get_or_create(
            key=asked.place, defaults={"asked": asked.told, "done_at": now}
        )
        if not fresh:
            return again(_about(row, asked))
        answer, about = work()
        if about is not None:
            DoneRequest.objects.using(using).filter(pk=row.pk).update(about=about)
        _forget_old(using, now)
        return answer

    with faults.around("once"):
        return transacted(using, attempt)


def done_before(asked: Asked, *, using: str | None = None) -> tuple[bool, Any]:
    """Say whether the request was done, and return its `about`. Raises `IdempotencyConflict`."""
    row = DoneRequest.objects.using(using or work_database()).filter(key=asked.place).first()
    return (False, None) if row is None else (True, _about(row, asked))


def done_already(what: str) -> Conflict:
    """Return the error for a request that cannot be answered twice."""
    return Conflict(f"This request was done before, and {what}. Use another Idempotency-Key to do it again.")


def _about(row: DoneRequest, asked: Asked) -> Any:
    if row.asked != asked.told:
        raise IdempotencyConflict(
            f"The Idempotency-Key {asked.key!r} was used for another request. Send what was sent first, or a new key."
        )
    return row.about


def _forget_old(using: str, now: dt.datetime) -> None:
    """Remove a few keys whose time is over; those that somebody else is removing are left to them."""
    over = now - dt.timedelta(seconds=roost.API_KEY_SECONDS)
    rows = DoneRequest.objects.using(using)
    old = rows.filter(done_at__lt=over).order_by("done_at").select_for_update(skip_locked=True)
    found = list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    if found:
        rows.filter(pk__in=found).delete()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
