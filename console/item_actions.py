"""The verbs for work items, in the order in which the console offers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_lazy

from console.action_fields import ActionField, Option
from console.actions import OperatorAction
from runtime.choices import State
from runtime.exceptions import Conflict
from runtime.models import ResourceClaim, WorkItem
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.cancel import Cancel
from runtime.operations.follow_up import FollowUp
from runtime.operations.fork import Fork
from runtime.operations.hold import Hold, Unhold
from runtime.operations.pause import Pause
from runtime.operations.prioritise import Prioritise
from runtime.operations.redrive import Redrive
from runtime.operations.release import Release
from runtime.operations.requeue import Requeue
from runtime.operations.resume import Resume
from runtime.operations.signal import SignalItem
from runtime.store import work_database

MOST_RESOURCES = 100


def _another_priority(item: WorkItem) -> dict[str, Any]:
    return {"priority": 0 if item.priority else 1}


def _some_signal(_item: WorkItem) -> dict[str, Any]:
    return {"name": "-"}


def _first_resource(item: WorkItem) -> dict[str, Any]:
    """Return the first resource that the item holds. Raises `Conflict` when there is none."""
    if item.state == State.RUNNING:
        return {"resource": "-"}  # refused for its state, before anything is read
    held = _held([item])
    if not held:
        raise Conflict(f"Work item {item.pk} is {item.state} and holds no claim.", state=item.state)
    return {"resource": held[0]}


def _held(rows: Sequence[Any]) -> list[str]:
    # An item that asks for no resource has no claim, and costs no query.
    ids = [row.pk for row in rows if row.limited]
    if not ids:
        return []
    claims = ResourceClaim.objects.using(work_database()).filter(work_item_id__in=ids, held=True)
    keys = claims.order_by("resource__key").values_list("resource__key", flat=True).distinct()
    return list(keys[:MOST_RESOURCES])


def _resources(rows: Sequence[Any]) -> list[Option]:
    return [Option(value=key, label=key) for key in _held(rows)]


ACTIONS: tuple[OperatorAction, ...] = (
    OperatorAction(
        name="redrive",
        operation=Redrive,
        title=gettext_lazy("Redrive"),
        effect=gettext_lazy(
            "Dead letters run again from their last snapshot, or from an earlier one. Steps that committed before it "
            "are not repeated."
        ),
        fields=(
            ActionField(
                name="from_version",
                label=gettext_lazy("From version"),
                help=gettext_lazy("The step whose state they go on from. Empty: the last."),
                kind="whole",
            ),
        ),
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
        name="signal",
        operation=SignalItem,
        title=gettext_lazy("Send signal"),
        effect=gettext_lazy("Each item gets a signal of its own, and takes it when it waits for that name."),
        moving=True,
        trial=_some_signal,
        fields=(
            ActionField(
                name="name",
                label=gettext_lazy("Name of the signal"),
                help=gettext_lazy("What the item waits for, now or later."),
                kind="text",
                required=True,
            ),
            ActionField(
                name="payload",
                label=gettext_lazy("Payload (JSON)"),
                help=gettext_lazy("What the step gets as the answer. Empty: null."),
                kind="json",
            ),
        ),
    ),
    OperatorAction(
        name="prioritise",
        operation=Prioritise,
        title=gettext_lazy("Change priority"),
        effect=gettext_lazy("Items of a higher priority are claimed sooner. A running step goes on undisturbed."),
        moving=True,
        trial=_another_priority,
        fields=(
            ActionField(
                name="priority",
                label=gettext_lazy("Priority"),
                help=gettext_lazy("Higher is sooner; 0 is usual, negative is allowed."),
                kind="integer",
                required=True,
            ),
        ),
    ),
    OperatorAction(
        name="release",
        operation=Release,
        title=gettext_lazy("Release lease"),
        effect=gettext_lazy(
            "Running items are taken from their workers and are due at once. Their step is thrown away; it costs no "
            "attempt."
        ),
        moving=True,
        grave=True,
    ),
    OperatorAction(
        name="release_claim",
        operation=Release,
        title=gettext_lazy("Release claim"),
        effect=gettext_lazy(
            "Items that are not running lose their claim on a resource, and whoever waits for it is woken."
        ),
        grave=True,
        trial=_first_resource,
        fields=(
            ActionField(
                name="resource",
                label=gettext_lazy("Resource"),
                help=gettext_lazy("The one that is released. Items that do not hold it are skipped."),
                kind="choice",
                required=True,
                options_of=_resources,
            ),
        ),
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
