"""The verbs of the console: one object each, which judges items beforehand and carries out what was confirmed.

The admin makes a list action, a button and a confirm page out of each. Permission, transaction and event are the
operation's; what is added here is the promise that what a person confirmed is what changes: a confirmation names the
item as it was shown, and an item that changed since is skipped and said so.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.action_fields import ActionField
from runtime.exceptions import InvalidInput, RoostError, StaleVersion
from runtime.models import Event, WorkItem
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.base import ItemOperation, OnItem, check_permission
from runtime.operations.cancel import Cancel
from runtime.operations.follow_up import FollowUp
from runtime.operations.fork import Fork
from runtime.operations.hold import Hold, Unhold
from runtime.operations.pause import Pause
from runtime.operations.redrive import Redrive
from runtime.operations.requeue import Requeue
from runtime.operations.resume import Resume
from runtime.store.values import Move

AT_ONCE = 500
"""Items that one confirmation covers at most."""

_TOKEN = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d{1,18}):(\d{1,18})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """An item as the person who confirmed saw it: its row_version and its last event."""

    item: uuid.UUID
    row_version: int
    event_seq: int

    @classmethod
    def of(cls, item: WorkItem) -> Confirmation:
        """Return the confirmation of an item as it was just read."""
        return cls(item=item.pk, row_version=item.row_version, event_seq=item.event_seq)

    def __str__(self) -> str:
        return f"{self.item}:{self.row_version}:{self.event_seq}"


def read_confirmations(text: str) -> list[Confirmation]:
    """Read confirmations as a form carries them, separated by spaces. Raises `InvalidInput`."""
    found = [_TOKEN.fullmatch(token) for token in text.split()]
    if not found or len(found) > AT_ONCE:
        raise InvalidInput(f"A form names {len(found)} items; it must name 1 to {AT_ONCE}.", field="items")
    if None in found:
        raise InvalidInput("A form names an item in an unknown way. Go back to the list.", field="items")
    parts = {match[1]: match for match in found if match}
    return [
        Confirmation(item=uuid.UUID(match[1]), row_version=int(match[2]), event_seq=int(match[3]))
        for match in parts.values()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What would become of an item: `skipped` says why nothing would, and is empty for an eligible one."""

    item: WorkItem
    skipped: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a confirmed item: the item after the change, or why it was skipped."""

    confirmation: Confirmation
    item: WorkItem | None = None
    skipped: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorAction:
    """A verb that people may do to items, one or many at once.

    `title` heads list action, button and confirm page, `effect` says what will happen. Where `moving` is set, the
    progress that a worker makes meanwhile does not void a confirmation (else an item that makes many steps a second
    could never be stopped); what another person does to the item does. `fields` are what a person may say besides;
    with `makes_new` the result is another item, and the one it was asked of stays as it is.
    """

    name: str
    operation: type[OnItem]
    title: str | Promise
    effect: str | Promise
    moving: bool = False
    grave: bool = False
    makes_new: bool = False
    fields: tuple[ActionField, ...] = ()

    @property
    def permission(self) -> str:
        """The permission it takes, without the app's label."""
        return self.operation.permission

    @property
    def reason_required(self) -> bool:
        """Whether it takes a reason."""
        return self.operation.reason_required

    def allowed(self, user: Any) -> bool:
        """Say whether the user has the permission."""
        return bool(user.has_perm(f"roost.{self.permission}"))

    def judge(self, items: Iterable[WorkItem], *, by: Any) -> list[Verdict]:
        """Say for each item, as it was read, whether the verb would change it. Changes nothing."""
        check_permission(by, self.permission, self.operation.verb)
        return [Verdict(item=item, skipped=self._objection(item, by)) for item in items]

    def carry_out(
        self, confirmations: Iterable[Confirmation], *, by: Any, reason: str, values: dict[str, Any] | None = None
    ) -> list[Result]:
        """Do it to each confirmed item in a transaction of its own; skip those that changed or do not allow it.

        `values` are those of the fields that were filled in. Raises `Forbidden`, and `InvalidInput` for a bad reason or
        value, before anything was changed.
        """
        asked = [(one, self._confirmed(one, by=by, reason=reason, values=values or {})) for one in confirmations]
        check_permission(by, self.permission, self.operation.verb)
        return [_carried_out(one, operation) for one, operation in asked]

    def _objection(self, item: WorkItem, by: Any) -> str:
        # The reason is asked for later, so none can be missing yet.
        operation = self.operation(item.pk, by=by, reason="-")
        try:
            return "" if operation.would_change(item) else _("nothing would change")
        except RoostError as error:
            return str(error).removeprefix(f"Work item {item.pk} ")

    def _confirmed(self, confirmation: Confirmation, *, by: Any, reason: str, values: dict[str, Any]) -> OnItem:
        if not self.moving:
            told = {"by": by, "reason": reason, "row_version": confirmation.row_version}
            return self.operation(confirmation.item, **values, **told)
        lenient: type[Any] = type(f"Confirmed{self.operation.__name__}", (_ProgressAllowed, self.operation), {})
        operation: _ProgressAllowed = lenient(confirmation.item, by=by, reason=reason)
        operation.confirmation = confirmation
        return operation


class _ProgressAllowed(ItemOperation):
    """Mixed into an operation: the item may have been moved by workers since it was confirmed, not by people."""

    confirmation: Confirmation

    def decide(self, item: WorkItem) -> Move | None:
        """Raise `StaleVersion` if a person moved the item since it was shown; its row is locked meanwhile."""
        if item.row_version != self.confirmation.row_version and self._touched():
            raise StaleVersion(
                _("Somebody else changed work item %(item)s since you looked; it is %(state)s now. Look at it again.")
                % {"item": item.pk, "state": item.state},
                state=item.state,
            )
        return super().decide(item)  # type: ignore[safe-super] # the operation it is mixed into has one

    def _touched(self) -> bool:
        later = Event.objects.using(self.store.using).filter(
            work_item_id=self.item_id, seq__gt=self.confirmation.event_seq
        )
        return later.exclude(actor="").exists()


def _carried_out(confirmation: Confirmation, operation: OnItem) -> Result:
    try:
        return Result(confirmation=confirmation, item=operation.execute())
    except RoostError as error:
        return Result(confirmation=confirmation, skipped=str(error))


ACTIONS: tuple[OperatorAction, ...] = (
    OperatorAction(
        name="redrive",
        operation=Redrive,
        title=gettext_lazy("Redrive"),
        effect=gettext_lazy("Dead letters run again from their last snapshot. Steps that committed are not repeated."),
    ),
    OperatorAction(
        name="requeue",
        operation=Requeue,
        title=gettext_lazy("Requeue"),
        effect=gettext_lazy("The items are due at once, from their last snapshot. A running step is thrown away."),
    ),
    OperatorAction(
        name="follow_up",
        operation=FollowUp,
        title=gettext_lazy("Follow up"),
        effect=gettext_lazy("Ended items run on with new input, from the state they had."),
        fields=(
            ActionField(
                name="input",
                label=gettext_lazy("Input (JSON)"),
                help=gettext_lazy("What the next step finds as the answer “follow_up”. Empty: null."),
                kind="json",
            ),
        ),
    ),
    OperatorAction(
        name="fork",
        operation=Fork,
        title=gettext_lazy("Fork"),
        effect=gettext_lazy(
            "New items go on from a snapshot of these, which stay as they are. Recorded calls are made anew."
        ),
        makes_new=True,
        fields=(
            ActionField(
                name="version",
                label=gettext_lazy("From version"),
                help=gettext_lazy("Empty: the latest."),
                kind="whole",
            ),
            ActionField(
                name="state",
                label=gettext_lazy("Edited state (JSON)"),
                help=gettext_lazy("Empty: the state of that snapshot, unchanged."),
                kind="json",
            ),
        ),
    ),
    OperatorAction(
        name="pause",
        operation=Pause,
        title=gettext_lazy("Pause"),
        effect=gettext_lazy("The items stop before their next step and stay until somebody resumes them."),
        moving=True,
    ),
    OperatorAction(
        name="resume",
        operation=Resume,
        title=gettext_lazy("Resume"),
        effect=gettext_lazy("Paused items go on where they were."),
    ),
    OperatorAction(
        name="acknowledge",
        operation=Acknowledge,
        title=gettext_lazy("Acknowledge"),
        effect=gettext_lazy("Dead letters are marked as seen. Nothing runs again."),
    ),
    OperatorAction(
        name="hold",
        operation=Hold,
        title=gettext_lazy("Put on legal hold"),
        effect=gettext_lazy("The items, their history and their workspaces are kept until the hold is lifted."),
        moving=True,
    ),
    OperatorAction(
        name="unhold",
        operation=Unhold,
        title=gettext_lazy("Lift legal hold"),
        effect=gettext_lazy("The items are removed when their time is over, at once if that has passed."),
        moving=True,
    ),
    OperatorAction(
        name="cancel",
        operation=Cancel,
        title=gettext_lazy("Cancel"),
        effect=gettext_lazy("The items end as cancelled. A running step is thrown away."),
        moving=True,
        grave=True,
    ),
)
"""The verbs in the order in which the console offers them."""


def named(name: str) -> OperatorAction | None:
    """Return the verb of that name."""
    return next((action for action in ACTIONS if action.name == name), None)
