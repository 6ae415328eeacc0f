"""Keep the options of items that are enqueued later, by a schedule or a trigger, as plain JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from runtime import jsondata
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations.spec import ItemOptions
from runtime.sentences import say as _

GIVEN_ELSEWHERE = frozenset({"namespace", "idempotency_key", "run_at", "parent", "relation", "item_id"})
"""Options that whoever enqueues the item decides at that time."""

ALLOWED = tuple(name for name in ItemOptions.__annotations__ if name not in GIVEN_ELSEWHERE)


def checked(options: Any) -> dict[str, Any]:
    """Return the options in the form in which they are kept: spans as seconds. Raises `InvalidInput`.

    Values are checked when an item is built from them, which whoever keeps options does once beforehand.
    """
    if not isinstance(options, Mapping):
        raise InvalidInput(
            _("options is a %(kind)s; it must be a mapping.", kind=type(options).__name__), field="options"
        )
    unknown = [repr(name) for name in options if name not in ALLOWED]
    if unknown:
        raise InvalidInput(
            _("options has %(names)s; it takes %(allowed)s.", names=", ".join(unknown), allowed=", ".join(ALLOWED)),
            field="options",
        )
    kept = {name: _seconds(value) for name, value in options.items() if value is not None}
    jsondata.dumps(kept, what="options", max_bytes=roost.MAX_PAYLOAD_BYTES)
    return kept


def for_enqueue(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return kept options as `build` takes them: a deadline counts from then."""
    options = dict(kept)
    deadline = options.get("deadline")
    if isinstance(deadline, int | float) and not isinstance(deadline, bool):
        try:
            options["deadline"] = dt.timedelta(seconds=deadline)
        except OverflowError:
            raise InvalidInput(_("deadline lies outside the calendar. Give a nearer one."), field="deadline") from None
    elif deadline is not None:
        raise InvalidInput(_("deadline must be seconds from the time of the enqueue."), field="deadline")
    return options


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, dt.timedelta) else value
