"""Know a token of the API again, and note that it was used: at most once a minute, whoever uses it how often."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time

from django.db import DatabaseError
from django.db.models import Q

from runtime import clock, faults, tokens
from runtime.models import ApiToken
from runtime.store import work_database
from runtime.store.transactions import transacted

NOTED_SECONDS = 60.0
MOST_REMEMBERED = 10_000

logger = logging.getLogger("roost.tokens")

_noted: dict[tuple[str, int], float] = {}
_guard = threading.Lock()


def forget() -> None:
    """Have the next use of every token noted. For tests."""
    with _guard:
        _noted.clear()


def recognise(text: str, *, using: str | None = None) -> ApiToken | None:
    """Return the token, None for what is none, or is revoked, expired or exchanged. One query, often.

    Its use is noted; a database that refuses that costs the note alone.
    """
    using = using or work_database()
    if not tokens.looks_right(text):
        return None
    found = _find(tokens.hashed(text), using)
    if found is None:
        return None
    _note(using, found)
    return found


def _find(wanted: str, using: str) -> ApiToken | None:
    good = ApiToken.objects.using(using).filter(revoked_at=None)
    current: ApiToken | None = good.filter(token_hash=wanted).first()
    found: ApiToken | None = current or good.filter(previous_hash=wanted).exclude(previous_hash="").first()
    if found is None:
        return None
    ends = [found.expires_at, None if current is not None else found.previous_until]
    over = [end for end in ends if end is not None]
    if over and min(over) <= clock.now(using):
        return None
    return found


def _note(using: str, token: ApiToken) -> None:
    if not _due((using, token.pk)):
        return
    try:
        now = clock.now(using)
        rows = ApiToken.objects.using(using).filter(pk=token.pk)
        rows = rows.filter(Q(last_used_at=None) | Q(last_used_at__lte=now - dt.timedelta(seconds=NOTED_SECONDS)))
        with faults.around("token"):
            transacted(using, lambda: rows.update(last_used_at=now))
    except DatabaseError:
        logger.warning("the use of API token %s could not be noted", token.name, exc_info=True)


def _due(key: tuple[str, int]) -> bool:
    """Say whether this process has not noted the token's use for a minute; remembers that it does now."""
    with _guard:
        now = time.monotonic()
        if now < _noted.get(key, float("-inf")) + NOTED_SECONDS:
            return False
        if len(_noted) >= MOST_REMEMBERED:
            _noted.clear()
        _noted[key] = now
        return True
