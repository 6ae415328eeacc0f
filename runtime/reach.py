"""Which namespaces somebody reaches: all, unless the product says so by `ROOST_NAMESPACES_OF`.

    ROOST_NAMESPACES_OF = "shop.tenants.namespaces_of"

    def namespaces_of(user):
        return None if user.is_superuser else user.teams.values_list("namespace", flat=True)

None, or "*", stands for all namespaces. Whoever gets an error or nonsense for an answer reaches none, and the log says
why: nothing is ever opened by a mistake. The callable is asked once for each user object, so once a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from django.utils.module_loading import import_string

from runtime.conf import settings as roost

EVERYWHERE = "*"
MOST = 1_000
"""Namespaces that somebody can reach who does not reach all: lists compare with each of them."""
LONGEST = 100
KEPT = "_roost_reach"
"""Where the answer is kept on a user. Who stands in for a user, a token's holder, has it from the beginning."""
NOTHING: frozenset[str] = frozenset()

logger = logging.getLogger("roost.reach")
_UNKNOWN: Any = object()


def of(by: Any) -> frozenset[str] | None:
    """Return the namespaces that `by` reaches, None for all. `by` is a user, or None for trusted code."""
    if by is None:
        return None
    kept: frozenset[str] | None = getattr(by, KEPT, _UNKNOWN)
    if kept is not _UNKNOWN:
        return kept
    if not is_divided():
        return None
    found = _asked(by)
    keep(by, found)
    return found


def keep(by: Any, found: frozenset[str] | None) -> None:
    """Remember what somebody reaches for as long as the object lives that stands for them."""
    with suppress(AttributeError):  # one with slots is asked about anew
        setattr(by, KEPT, found)


def reaches(by: Any, namespace: str) -> bool:
    """Say whether `by` reaches the namespace."""
    found = of(by)
    return found is None or namespace in found


def is_divided() -> bool:
    """Say whether the product divides its people by namespaces."""
    return bool(roost.NAMESPACES_OF)


def hook() -> Callable[[Any], Any] | None:
    """Return the product's callable, or None. Raises `ImportError`, and `TypeError` for what cannot be called."""
    if not is_divided():
        return None
    found = import_string(str(roost.NAMESPACES_OF))
    if not callable(found):
        raise TypeError(f"{roost.NAMESPACES_OF} is a {type(found).__name__}, which cannot be called.")
    called: Callable[[Any], Any] = found
    return called


def _asked(user: Any) -> frozenset[str] | None:
    if not getattr(user, "is_authenticated", False):
        return NOTHING
    try:
        called = hook()
        return None if called is None else _read(called(user))
    except Exception:
        logger.exception("ROOST_NAMESPACES_OF = %r failed; user %s reaches no namespace.", roost.NAMESPACES_OF, user.pk)
        return NOTHING


def _read(answer: Any) -> frozenset[str] | None:
    """Return what the callable's answer means. Raises `TypeError` and `ValueError` for what means nothing."""
    if answer is None or (isinstance(answer, str) and answer == EVERYWHERE):
        return None
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise TypeError(f"It returned a {type(answer).__name__}; it must return names of namespaces, None or '*'.")
    found: set[str] = set()
    for name in answer:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
            raise TypeError(f"It returned {name!r:.200} among the names; a namespace has 1 to {LONGEST} characters.")
        found.add(name)
        if len(found) > MOST:
            raise ValueError(f"It returned more than {MOST} names; say '*' for who reaches all.")
    if found == {EVERYWHERE}:
        return None
    if EVERYWHERE in found:
        raise ValueError("It returned '*' beside other names. Say which is meant.")
    return frozenset(found)
