"""Give an item the input that it waits for."""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from runtime import jsondata
from runtime.choices import EventKind, WaitKind
from runtime.conf import settings as roost
from runtime.models import Wait, WorkItem
from runtime.operations.answering import Answering
from runtime.operations.base import MoveOptions
from runtime.schemas import check_value
from runtime.sentences import say as _
from runtime.store.values import WaitAnswer


class Respond(Answering):
    """Answer an input, once; the value must be JSON and what the input's schema allows."""

    verb = _("respond")
    participle = _("answered")
    permission = "respond_wait"
    kind = WaitKind.INPUT
    event = EventKind.ANSWERED

    def __init__(
        self,
        item: uuid.UUID | str | None = None,
        key: str | None = None,
        value: Any = None,
        *,
        wait: uuid.UUID | str | None = None,
        wait_version: int | None = None,
        **options: Unpack[MoveOptions],
    ) -> None:
        super().__init__(item, key, wait=wait, wait_version=wait_version, **options)
        self.value = jsondata.loads(jsondata.dumps(value, what="value", max_bytes=roost.MAX_PAYLOAD_BYTES))

    def answer(self, item: WorkItem, wait: Wait) -> WaitAnswer:
        """Raise `InvalidInput` for a value that the schema does not allow."""
        if wait.schema is not None:
            check_value(self.value, wait.schema, "value")
        return self.told(wait, self.value, final=True)


def respond(
    item: uuid.UUID | str | None = None,
    key: str | None = None,
    value: Any = None,
    *,
    wait: uuid.UUID | str | None = None,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Answer the input that the item waits for and return the item; see `Respond`.

    Raises `Conflict`, `NotFound`, `Forbidden`, and `InvalidInput` for a value that the schema does not allow, or when
    several inputs are open and none is named.
    """
    return Respond(item, key, value, wait=wait, **options).execute()
