"""The verbs for schedules: run now, pause, resume. A confirmation names the schedule as it was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from console.actions import OperatorAction
from runtime.models import Schedule
from runtime.operations.schedule_moves import PauseSchedule, ResumeSchedule, RunSchedule, ScheduleMove


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleAction(OperatorAction):
    """A verb for schedules. Firings do not void a confirmation; an edit does."""

    operation: type[ScheduleMove]
    for_enabled: bool | None = None
    """Whether it is for schedules that fire, or for paused ones; None: for both."""

    def fits(self, schedule: Schedule) -> bool:
        """Say whether the schedule is in the state that this is for, without judging what it would enqueue."""
        return self.for_enabled in (None, schedule.enabled)

    def judged(self, row: Schedule) -> Any:
        """Return the schedule."""
        return row


SCHEDULE_ACTIONS: tuple[ScheduleAction, ...] = (
    ScheduleAction(
        name="run",
        operation=RunSchedule,
        title=gettext_lazy("Run now"),
        effect=gettext_lazy(
            "What the schedules enqueue is enqueued at once, beside their own times, which stay as they are."
        ),
        makes_new=True,
    ),
    ScheduleAction(
        name="pause",
        operation=PauseSchedule,
        title=gettext_lazy("Pause"),
        effect=gettext_lazy(
            "The schedules enqueue nothing until somebody resumes them. Times that pass meanwhile are not made up for; "
            "what they have enqueued goes on."
        ),
        for_enabled=True,
    ),
    ScheduleAction(
        name="resume",
        operation=ResumeSchedule,
        title=gettext_lazy("Resume"),
        effect=gettext_lazy(
            "Paused schedules fire again, from their next time on. Times that passed meanwhile are not made up for."
        ),
        for_enabled=False,
    ),
)
