"""The verbs for work items, in the order in which the console offers them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy

from console.action_fields import ActionField, Option
from console.actions import OperatorAction
from console.item_choices import (
    LAST_KEPT,
    calls_to_reset,
    resources_held,
    without_call,
    without_claim,
    without_snapshot,
)
from runtime.choices import State
from runtime.models import WorkItem
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
from runtime.operations.reset_call import ResetCall
from runtime.operations.resume import Resume
from runtime.operations.signal import SignalItem


def _another_priority(item: WorkItem) -> dict[str, Any]:
    return {"priority": 0 if item.priority else 1}


def _some_signal(_item: WorkItem) -> dict[str, Any]:
    return {"name": "-"}


def _enough_steps(item: WorkItem) -> dict[str, Any]:
    """Judge an item that used up its steps as if it were given another: how many is said on the page."""
    return {"max_steps": item.steps_total + 1} if _used_up(item) else {}


def _used_up(item: WorkItem) -> bool:
    return item.max_steps is not None and item.steps_total >= item.max_steps


def _at_once(item: WorkItem) -> dict[str, Any]:
    """Judge an item whose pause is to come as if it were paused at once: nothing else is left to do."""
    return {"now": True} if _will_pause(item) else {}


def _will_pause(item: WorkItem) -> bool:
    return item.state == State.RUNNING and item.pause_requested


MAX_STEPS = ActionField(
    name="max_steps",
    label=gettext_lazy("Steps allowed"),
    help=gettext_lazy("A new limit for all steps of the item, those that it has made included. Empty: as it was."),
    kind="whole",
    needed_by=_used_up,
)


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
            MAX_STEPS,
        ),
        trial=_enough_steps,
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
            MAX_STEPS,
        ),
        trial=_enough_steps,
    ),
    OperatorAction(
        name="fork",
        operation=Fork,
        title=gettext_lazy("Fork"),
        effect=gettext_lazy(
            "New items go on from a snapshot of these, which stay as they are. Recorded calls are made anew."
        ),
        makes_new=True,
        objects=without_snapshot,
        told_apart=LAST_KEPT,
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
            ActionField(
                name="payload",
                label=gettext_lazy("Another payload (JSON)"),
                help=gettext_lazy("Empty: the original's. The engine checks it."),
                kind="json",
            ),
            ActionField(
                name="engine_version",
                label=gettext_lazy("Version of the engine"),
                help=gettext_lazy("The code that the new item runs on. Empty: the original's."),
                kind="text",
            ),
            ActionField(
                name="delay",
                label=gettext_lazy("Delay (seconds)"),
                help=gettext_lazy("The new item is not due before. Empty: due at once."),
                kind="number",
            ),
        ),
    ),
    OperatorAction(
        name="pause",
        operation=Pause,
        title=gettext_lazy("Pause"),
        effect=gettext_lazy("The items stop before their next step and stay until somebody resumes them."),
        moving=True,
        trial=_at_once,
        fields=(
            ActionField(
                name="now",
                label=gettext_lazy("At once"),
                help=gettext_lazy("Else a step that is running ends first, and its state is kept."),
                kind="boolean",
                options=(
                    Option(value="false", label=gettext_lazy("no: a running step ends first")),
                    Option(value="true", label=gettext_lazy("yes: a running step is thrown away, and made again")),
                ),
                needed_by=_will_pause,
            ),
        ),
    ),
    OperatorAction(
        name="resume",
        operation=Resume,
        title=gettext_lazy("Resume"),
        effect=gettext_lazy("Paused items go on where they were."),
        fields=(
            ActionField(
                name="steps",
                label=gettext_lazy("Steps"),
                help=gettext_lazy("They pause again after so many more steps. Empty: they do not."),
                kind="whole",
            ),
        ),
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
        all_matching=False,
        objects=without_claim,
        fields=(
            ActionField(
                name="resource",
                label=gettext_lazy("Resource"),
                help=gettext_lazy("The one that is released. Items that do not hold it are skipped."),
                kind="choice",
                required=True,
                options_of=resources_held,
            ),
        ),
    ),
    OperatorAction(
        name="reset_call",
        operation=ResetCall,
        title=gettext_lazy("Reset call"),
        effect=gettext_lazy(
            "The items forget a recorded call that failed for good or is in doubt: the step that runs next makes it "
            "again. A call in doubt may have happened, so find that out first. Nothing runs by this alone; a redrive "
            "resets failed calls by itself."
        ),
        all_matching=False,
        objects=without_call,
        fields=(
            ActionField(
                name="key",
                label=gettext_lazy("Call"),
                help=gettext_lazy("The one that is forgotten. Items that did not record it are skipped."),
                kind="choice",
                required=True,
                options_of=calls_to_reset,
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
