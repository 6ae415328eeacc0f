"""Find a row by its id, or by the beginning of it that people copy from a list."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.db.models import QuerySet

from runtime.exceptions import InvalidInput, NotFound
from runtime.sentences import say as _

_BEGINNING = re.compile(r"[0-9a-f]{4,32}")


def id_range(name: str | uuid.UUID, what: str = "work item") -> tuple[uuid.UUID, uuid.UUID]:
    """Return the lowest and the highest id that begin so. Raises `InvalidInput` for what is no id."""
    if isinstance(name, uuid.UUID):
        return name, name
    digits = name.strip().lower().replace("-", "")
    if not _BEGINNING.fullmatch(digits):
        raise InvalidInput(
            _("%(name)r is no %(what)s id (a UUID, or its first 4 digits or more).", name=name, what=what), field="item"
        )
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def get(rows: QuerySet[Any], name: str | uuid.UUID, *, what: str, listing: str) -> Any:
    """Return the one of the rows with that id, or with that unique beginning of an id (4 hex digits or more).

    `what` they are, and the command that lists them, is what the errors say: `InvalidInput` for what is no id or fits
    several rows, `NotFound` when there is none.
    """
    low, high = id_range(name, what)
    found = list(rows.filter(pk__gte=low, pk__lte=high).order_by("pk")[:2])
    if not found:
        raise NotFound(
            _(
                "There is no %(what)s %(name)s. `%(listing)s` shows those there are.",
                what=what,
                name=name,
                listing=listing,
            )
        )
    if len(found) > 1:
        raise InvalidInput(
            _(
                "Several %(what)ss begin with %(name)s, %(one)s and %(other)s among them. Give more digits.",
                what=what,
                name=name,
                one=found[0].pk,
                other=found[1].pk,
            ),
            field="item",
        )
    return found[0]
