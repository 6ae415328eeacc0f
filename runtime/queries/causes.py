"""A reason why an item is where it is, and words that recur in them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from runtime.models import WorkItem
from runtime.queries.words import moment
from runtime.sentences import Sentence
from runtime.sentences import say as _


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One reason. `code` is stable and meant for machines, `text` is for people, `data` has the facts.

    The text is English; a page tells it in its reader's language (`runtime.sentences`).
    """

    code: str
    text: Sentence
    data: dict[str, Any] = field(default_factory=dict)


def by(actor: str) -> str:
    """Return the words that name who did it, nothing for nobody."""
    return _(" by %(actor)s", actor=actor) if actor else ""


def since(at: dt.datetime | None) -> str:
    """Return the words that say since when, nothing where that is not known."""
    return _(" since %(at)s", at=moment(at)) if at else ""


def error_of(item: WorkItem) -> str:
    """Return the item's last error on a line: it was said by a step, and is told as it is."""
    error = item.last_error
    if not isinstance(error, dict) or not error.get("message"):
        return ""
    return f"{error.get('type', 'Error')}: {error['message']}"
