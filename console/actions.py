"""What a verb of the console is: it judges rows beforehand and carries out what was confirmed.

The admin makes a list action, a button and a confirm page out of each. Permission, transaction and event are the
operation's; what is added here is the promise that what a person confirmed is what changes: a confirmation names the
row as it was shown, and a row that changed since is skipped and said so. The verbs themselves stand in
`console.item_actions`, `console.wait_actions` and `console.schedule_actions`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from console.action_fields import ActionField, Typed, values
from runtime import clock
from runtime.exceptions import InvalidInput, NotFound, RoostError, StaleVersion
from runtime.models import Event, Schedule, WorkItem
from runtime.operations.base import ItemOperation, Verb, check_permission, locked_is_conflict
from runtime.sentences import translated
from runtime.store import work_database
from runtime.store.values import Move

AT_ONCE = 500
"""Rows that one confirmation covers at most."""

_TOKEN = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d{1,18}):(\d{1,18})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """A row as the person who confirmed saw it: its row_version and, of an item, its last event."""

    subject: uuid.UUID
    row_version: int
    event_seq: int

    @classmethod
    def of(cls, row: Any) -> Confirmation:
        """Return the confirmation of a row as it was just read."""
        return cls(subject=row.pk, row_version=row.row_version, event_seq=getattr(row, "event_seq", 0))

    def __str__(self) -> str:
        return f"{self.subject}:{self.row_version}:{self.event_seq}"


def read_confirmations(text: str) -> list[Confirmation]:
    """Read confirmations as a form carries them, separated by spaces. Raises `InvalidInput`."""
    found = [_TOKEN.fullmatch(token) for token in text.split()]
    if not found or len(found) > AT_ONCE:
        raise InvalidInput(f"A form names {len(found)} items; it must name 1 to {AT_ONCE}.", field="items")
    if None in found:
        raise InvalidInput("A form names an item in an unknown way. Go back to the list.", field="items")
    parts = {match[1]: match for match in found if match}
    return [
        Confirmation(subject=uuid.UUID(match[1]), row_version=int(match[2]), event_seq=int(match[3]))
        for match in parts.values()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What would become of a row: `skipped` says why nothing would, and is empty for an eligible one."""

    row: Any
    skipped: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a confirmed row: the item after the change, or the schedule, or why it was skipped."""

    confirmation: Confirmation
    item: WorkItem | Schedule | None = None
    skipped: str = ""


Objection = Callable[[Any], None]
"""Raises why a row would be skipped."""


def _no_values(_item: WorkItem) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorAction:
    """A verb that people may do to items, one or many at once.

    `title` heads list action, button and confirm page, `effect` says what will happen. Where `moving` is set, the
    progress that a worker makes meanwhile does not void a confirmation (else an item that makes many steps a second
    could never be stopped); what another person does to the item does. `fields` are what a person may say besides;
    `trial` gives values to judge an item with before anything was said. A verb whose judgement takes more than the
    row has `objects`: it reads at once what there is to know of all rows, and tells of each what speaks against it;
    `told_apart` are the expressions by which that is told apart where many are only counted.
    With `makes_new` the result is another item, and the one it was asked of stays as it is. `bulk` verbs are list
    actions, and with `all_matching` are done to more items than one page confirms.
    """

    name: str
    operation: type[Verb]
    title: str | Promise
    effect: str | Promise
    moving: bool = False
    grave: bool = False
    makes_new: bool = False
    bulk: bool = True
    all_matching: bool = True
    fields: tuple[ActionField, ...] = ()
    trial: Callable[[WorkItem], dict[str, Any]] = _no_values
    objects: Callable[[Sequence[Any]], Objection] | None = None
    told_apart: tuple[tuple[str, Any], ...] = ()

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

    def asked(self, rows: Sequence[Any]) -> tuple[ActionField, ...]:
        """Return what is asked for besides the reason, for these rows."""
        return tuple(field.offering(rows) for field in self.fields)

    def read(self, given: Sequence[Typed]) -> dict[str, Any]:
        """Return the operation's arguments that were typed. Raises `InvalidInput`."""
        return values(given)

    def judge(self, rows: Sequence[Any], *, by: Any) -> list[Verdict]:
        """Say for each row, as it was read, whether the verb would change it. Changes nothing.

        Reads the same number of times however many rows there are.
        """
        check_permission(by, self.permission, self.operation.verb)
        objection = self._one_by_one(by) if self.objects is None else self.objects(rows)
        return [Verdict(row=row, skipped=_against(self.judged(row).pk, row, objection)) for row in rows]

    def carry_out(
        self,
        confirmations: Iterable[Confirmation],
        *,
        by: Any,
        reason: str,
        values: dict[str, Any] | None = None,
        click: str = "",
    ) -> list[Result]:
        """Do it to each confirmed row in a transaction of its own; skip those that changed or do not allow it.

        `values` are those of the fields that were filled in, `click` is the id that all events of it carry. Raises
        `Forbidden`, and `InvalidInput` for a bad reason or value, before anything was changed.
        """
        check_permission(by, self.permission, self.operation.verb)
        told = {**(values or {}), "by": by, "reason": reason, "click": click}
        asked = [(one, self._prepared(one, told)) for one in confirmations]
        return [_carried_out(one, operation) for one, operation in asked]

    def judged(self, row: Any) -> Any:
        """Return what the operation judges: the item that a row is, or belongs to."""
        return item_of(row)

    def asking(self, subject: uuid.UUID, **told: Any) -> Verb:
        """Return the operation on that row. Raises `InvalidInput` for a bad reason or value."""
        make: Callable[..., Verb] = self.operation
        return make(subject, **told)

    def tried(self, row: Any, told: dict[str, Any]) -> Verb:
        """Return the operation by which a row is judged. Raises what says that it cannot be."""
        return self.asking(row.pk, **self.trial(row), **told)

    def confirmed(self, confirmation: Confirmation, told: dict[str, Any]) -> Verb:
        """Return the operation that changes the row only as it was confirmed."""
        if not self.moving:
            return self.asking(confirmation.subject, row_version=confirmation.row_version, **told)
        lenient: type[Any] = type(f"Confirmed{self.operation.__name__}", (_ProgressAllowed, self.operation), {})
        operation: _ProgressAllowed = lenient(confirmation.subject, **told)
        operation.confirmation = confirmation
        return operation

    def _prepared(self, confirmation: Confirmation, told: dict[str, Any]) -> Verb | NotFound:
        try:
            return self.confirmed(confirmation, told)
        except NotFound as gone:
            return gone

    def _one_by_one(self, by: Any) -> Objection:
        now = cache(partial(clock.now, work_database()))

        def objection(row: Any) -> None:
            # The reason is asked for later, so none can be missing yet.
            operation = self.tried(row, {"by": by, "reason": "-"})
            operation.shared_time = now
            if not operation.would_change(self.judged(row)):
                raise RoostError(_("nothing would change"))

        return objection


def item_of(row: Any) -> WorkItem:
    """Return the item that a row is, or belongs to."""
    found: WorkItem = row if isinstance(row, WorkItem) else row.work_item
    return found


def _against(item: uuid.UUID, row: Any, objection: Objection) -> str:
    try:
        objection(row)
    except RoostError as error:
        return translated(error).removeprefix(_("Work item %(item)s ") % {"item": item})
    return ""


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


def _carried_out(confirmation: Confirmation, operation: Verb | NotFound) -> Result:
    if isinstance(operation, NotFound):
        return Result(confirmation=confirmation, skipped=translated(operation))
    try:
        with locked_is_conflict(confirmation.subject):
            return Result(confirmation=confirmation, item=operation.execute())
    except RoostError as error:
        return Result(confirmation=confirmation, skipped=translated(error))
