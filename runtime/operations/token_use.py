"""Know a token of the API again, and note that it was used: at most once a minute, whoever uses it how often."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from django.db import DatabaseError
from django.db.models import Q

from runtime import clock, faults, tokens
from runtime.models import ApiToken
from runtime.store import work_database
from runtime.store.columns import Columns
from runtime.store.transactions import transacted

NOTED_SECONDS = 60.0
MOST_REMEMBERED = 10_000

logger = logging.getLogger("roost.tokens")

_COLUMNS = Columns(ApiToken, "id", "name", "token_hash", "scopes", "namespaces")
_GOOD = """
revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {now}) AND (
    token_hash = %s
    OR (previous_hash = %s AND previous_hash <> '' AND (previous_until IS NULL OR previous_until > {now}))
)
"""

_noted: dict[tuple[str, int], float] = {}
_guard = threading.Lock()


def forget() -> None:
    """Have the next use of every token noted. For tests."""
    with _guard:
        _noted.clear()


def recognise(
    text: str, *, using: str | None = None, within: Callable[[], AbstractContextManager[None]] = nullcontext
) -> ApiToken | None:
    """Return the token, None for what is none, or is revoked, expired or exchanged. One query, `within` its limits.

    Its use is noted; a database that refuses that costs the note alone.
    """
    using = using or work_database()
    if not tokens.looks_right(text):
        return None
    with within():
        found = _find(tokens.hashed(text), using)
    if found is None:
        return None
    _note(using, found)
    return found


def _find(wanted: str, using: str) -> ApiToken | None:
    now, moment = clock.moment(using)
    found = _COLUMNS.read(using, _GOOD.format(now=now), [*moment, wanted, wanted, *moment])
    return next((one for one in found if one.token_hash == wanted), found[0] if found else None)


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
