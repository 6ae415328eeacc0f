"""The verbs for what items ask people: approve, reject, respond. A confirmation names the wait as it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.action_fields import ActionField, Typed
from console.actions import Confirmation, OperatorAction
from console.schema_fields import answer_of, fields_of
from runtime.choices import WaitState
from runtime.exceptions import Conflict
from runtime.models import Wait, WorkItem
from runtime.operations.answering import Answering
from runtime.operations.approve import Approve
from runtime.operations.base import OnItem
from runtime.operations.reject import Reject
from runtime.operations.respond import Respond


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitAction(OperatorAction):
    """A verb that answers waits. Their items may move meanwhile; a wait that somebody wrote since is skipped."""

    operation: type[Answering]

    def fits(self, wait: Wait) -> bool:
        """Say whether the wait is of the kind that this answers and still open, without reading anything."""
        return wait.kind == self.operation.kind and wait.state == WaitState.OPEN

    def tried(self, row: Wait, told: dict[str, Any]) -> OnItem:
        """Return the operation by which a wait is judged. Raises `Conflict` for a wait of another kind."""
        return _judged(self.operation, row, told)

    def confirmed(self, confirmation: Confirmation, told: dict[str, Any]) -> OnItem:
        """Return the operation that answers the wait only as it was confirmed."""
        return self.operation(wait=confirmation.subject, wait_version=confirmation.row_version, **told)


class _Shown(Answering):
    """Mixed into an operation: it judges the wait as it was read, with its item, and reads nothing."""

    shown: Wait

    def _named(self, item: WorkItem) -> list[Wait]:
        return [self.shown] if self.shown.base_version == item.version else []


def _judged(operation: type[Answering], wait: Wait, told: dict[str, Any]) -> Answering:
    if wait.kind != operation.kind:
        raise Conflict(_("%(key)s is no %(kind)s.") % {"key": wait.key, "kind": operation.kind.label})
    reading: type[Any] = type(f"Shown{operation.__name__}", (_Shown, operation), {})
    made: _Shown = reading(wait.work_item_id, wait.key, **told)
    made.shown = wait
    return made


class _Asked(Respond):
    """Judges an input before anything was answered."""

    def answer(self, item: Any, wait: Wait) -> Any:
        """Allow what is not known yet."""
        return self.told(wait, None, final=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RespondAction(WaitAction):
    """Answers one input, with a form that its schema describes."""

    def asked(self, rows: Sequence[Wait]) -> tuple[ActionField, ...]:
        """Return the fields that the schema of the one wait describes."""
        return fields_of(rows[0].schema if rows else None)

    def tried(self, row: Wait, told: dict[str, Any]) -> OnItem:
        """Return an operation that does not look at the answer yet."""
        return _judged(_Asked, row, told)

    def read(self, given: Sequence[Typed]) -> dict[str, Any]:
        """Return the answer that was typed. Raises `InvalidInput`."""
        return {"value": answer_of(given)}


WAIT_ACTIONS: tuple[WaitAction, ...] = (
    WaitAction(
        name="approve",
        operation=Approve,
        title=gettext_lazy("Approve"),
        effect=gettext_lazy("What the items ask for is approved in your name; with enough approvals they go on."),
    ),
    WaitAction(
        name="reject",
        operation=Reject,
        title=gettext_lazy("Reject"),
        effect=gettext_lazy("What the items ask for is rejected; one no is enough. Their steps are told the reason."),
        grave=True,
    ),
    RespondAction(
        name="respond",
        operation=Respond,
        title=gettext_lazy("Respond"),
        effect=gettext_lazy("The item gets the answer once and goes on with it."),
        bulk=False,
    ),
)
