"""Name the states, reasons and event kinds of a work item, and the transitions allowed between states.

Pure data: nothing here touches the database. `TRANSITIONS` is the one table of what may follow what;
the stores and the operations look it up and nobody else decides.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class State(models.TextChoices):
    """State of a work item."""

    QUEUED = "queued", pgettext_lazy("work item state", "queued")
    RUNNING = "running", pgettext_lazy("work item state", "running")
    WAITING = "waiting", pgettext_lazy("work item state", "waiting")
    PAUSED = "paused", pgettext_lazy("work item state", "paused")
    DONE = "done", pgettext_lazy("work item state", "done")
    FAILED = "failed", pgettext_lazy("work item state", "failed")
    CANCELLED = "cancelled", pgettext_lazy("work item state", "cancelled")


LIVE: frozenset[str] = frozenset({State.QUEUED, State.RUNNING, State.WAITING, State.PAUSED})
TERMINAL: frozenset[str] = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Reason(models.TextChoices):
    """Why an item is in its state; the empty reason is allowed for running, done and cancelled items."""

    NEW = "new", _("not started yet")
    CONTINUE = "continue", _("between two steps")
    DELAY = "delay", _("the step asked for a delay")
    RETRY = "retry", _("waits for its next attempt")
    RESOURCE = "resource", _("a resource it needs is held by others")
    LIMIT = "limit", _("a limit is reached")
    RECOVERED = "recovered", _("taken back from a worker that is gone")
    REQUEUED = "requeued", _("put back by an operator")
    REDRIVEN = "redriven", _("brought back from the dead letters")
    RELEASED = "released", _("given back by its worker")
    ANSWERED = "answered", _("what it waited for has come")
    FOLLOW_UP = "follow_up", _("reopened with new input")

    OPERATOR = "operator", _("paused by an operator")
    BUDGET = "budget", _("its budget is used up")
    STEP_QUOTA = "step_quota", _("its step quota is used up")
    HELD = "held", _("held: no worker has code that goes on with it")

    APPROVAL = "approval", _("waits for an approval")
    INPUT = "input", _("waits for an input")
    SIGNAL = "signal", _("waits for a signal")
    CHILDREN = "children", _("waits for its children")
    TIMER = "timer", _("waits for a time")

    ATTEMPTS_EXHAUSTED = "attempts_exhausted", _("its last attempt failed")
    PERMANENT_ERROR = "permanent_error", _("an error that a retry cannot mend")
    DEADLINE = "deadline", _("its deadline passed")
    TIMEOUT = "timeout", _("it ran longer than its timeout")
    WAIT_EXPIRED = "wait_expired", _("nobody answered in time")
    MAX_STEPS = "max_steps", _("it made more steps than allowed")
    POISON = "poison", _("it killed its workers")
    UNKNOWN_ENGINE = "unknown_engine", _("no such engine")
    REJECTED = "rejected", _("rejected by a person")
    FORCED = "forced", _("failed by an operator")
    CHILD_FAILED = "child_failed", _("a child it waited for failed")


PARKED: frozenset[str] = frozenset({Reason.RESOURCE, Reason.LIMIT})
"""Reasons of queued items that are kept out of the due index until somebody wakes them."""

SUSPECT_DEATHS = 2
"""Workers lost in a row from which on an item is claimed only by a process that runs nothing else."""


class EventKind(models.TextChoices):
    """Kind of an event; never translated where machines read it."""

    ENQUEUED = "enqueued", _("enqueued")
    CLAIMED = "claimed", _("claimed by a worker")
    STEP = "step", _("step committed")
    WAITED = "waited", _("step asked to be run again later")
    RETRY = "retry", _("step failed, retry scheduled")
    RELEASED = "released", _("released by its worker")
    RECOVERED = "recovered", _("recovered from a lost worker")
    PARKED = "parked", _("parked until a resource is free")
    WOKEN = "woken", _("woken")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    PAUSED = "paused", _("paused")
    RESUMED = "resumed", _("resumed")
    REQUEUED = "requeued", _("requeued")
    REDRIVEN = "redriven", _("redriven")
    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    PRIORITY = "priority", _("priority changed")
    FORKED = "forked", _("forked")
    IMPORTED = "imported", _("imported")
    HELD = "held", _("held back: this code does not go on with it")
    ARTIFACT = "artifact", _("artifact stored")
    CHILD = "child", _("child spawned")
    LOG = "log", _("log line of the step")
    PROGRESS = "progress", _("progress reported")
    RESOURCE_RELEASED = "resource_released", _("resource claim released")
    ASKED = "asked", _("asks and waits")
    ANSWERED = "answered", _("answered")
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    SIGNALLED = "signalled", _("signal received")
    EXPIRED = "expired", _("nobody answered in time")
    CHILD_ENDED = "child_ended", _("child ended")
    REPLAYED = "replayed", _("recorded call replayed")
    CALL_RETRY = "call_retry", _("call failed, tried again")
    CALL_FAILED = "call_failed", _("call failed")
    IN_DOUBT = "in_doubt", _("call in doubt")
    JOURNAL_RESET = "journal_reset", _("recorded call forgotten")
    FOLLOWED_UP = "followed_up", _("reopened with new input")
    TRIGGER_FAILED = "trigger_failed", _("trigger could not fire")
    NOTIFIED = "notified", _("delivery to a webhook enqueued")
    NOTIFY_FAILED = "notify_failed", _("delivery to a webhook could not be enqueued")
    LEGAL_HOLD = "legal_hold", _("put on legal hold")
    LEGAL_HOLD_LIFTED = "legal_hold_lifted", _("taken off legal hold")
    UPLOADED = "uploaded", _("file uploaded")


class WorkerState(models.TextChoices):
    """State of a worker process, and the state an operator wishes it to take."""

    ONLINE = "online", pgettext_lazy("worker state", "online")
    DRAINING = "draining", pgettext_lazy("worker state", "draining")
    OFFLINE = "offline", pgettext_lazy("worker state", "offline")


class ClaimMode(models.TextChoices):
    """How a claim shares its resource with others."""

    EXCLUSIVE = "exclusive", _("exclusive")
    SHARED = "shared", _("shared")
    COUNTED = "counted", _("counted")


class ClaimScope(models.TextChoices):
    """How long a claim lives: as long as the lease, or until the item ends."""

    STEP = "step", _("as long as the lease")
    ITEM = "item", _("until the item ends")


class ArtifactKind(models.TextChoices):
    """What an artifact is, for people and for previews."""

    PATCH = "patch", _("patch")
    LOG = "log", _("log")
    REPORT = "report", _("report")
    BINARY = "binary", _("binary")
    JSON = "json", _("JSON")
    OTHER = "other", _("other")


class OffloadPlace(models.TextChoices):
    """Which value of an item is kept in the artifact storage."""

    PAYLOAD = "payload", _("payload")
    STATE = "state", _("state")
    RESULT = "result", _("result")


class ErrorCategory(models.TextChoices):
    """What kind of failure an error tells of, and so whether trying again may help."""

    TRANSIENT = "transient", pgettext_lazy("error category", "transient")
    VALIDATION = "validation", pgettext_lazy("error category", "validation")
    BUSINESS = "business", pgettext_lazy("error category", "business")
    PERMISSION = "permission", pgettext_lazy("error category", "permission")
    UNKNOWN = "unknown", pgettext_lazy("error category", "unknown")


RETRIED: frozenset[str] = frozenset({ErrorCategory.TRANSIENT, ErrorCategory.UNKNOWN})
"""Categories that are tried again unless a policy says otherwise."""


class JournalState(models.TextChoices):
    """What is known of a recorded call."""

    STARTED = "started", _("started")
    RETRY = "retry", _("failed, to be made again")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")


class WaitKind(models.TextChoices):
    """What is waited for."""

    APPROVAL = "approval", _("approval")
    INPUT = "input", _("input")
    SIGNAL = "signal", _("signal")
    CHILDREN = "children", _("children")
    TIMER = "timer", _("timer")


class WaitState(models.TextChoices):
    """Where a wait is: open, answered, answered by its default or its time, or over."""

    OPEN = "open", pgettext_lazy("wait state", "open")
    RESOLVED = "resolved", pgettext_lazy("wait state", "answered")
    EXPIRED = "expired", pgettext_lazy("wait state", "expired")
    CONSUMED = "consumed", pgettext_lazy("wait state", "consumed")
    WITHDRAWN = "withdrawn", pgettext_lazy("wait state", "withdrawn")


class TriggerEvent(models.TextChoices):
    """The end that a trigger waits for."""

    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class TargetEvent(models.TextChoices):
    """What a webhook target is told of: the state that an item has come to."""

    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    WAITING = "waiting", _("waits for an answer, a signal, children or a time")


class Verifier(models.TextChoices):
    """How a webhook tells its sender from anybody else."""

    GITHUB = "github", _("HMAC as GitHub sends it")
    SLACK = "slack", _("HMAC as Slack sends it")
    HMAC = "hmac", _("HMAC in a header")
    BEARER = "bearer", _("bearer token")


class ScheduleKind(models.TextChoices):
    """How a schedule says when it fires."""

    CRON = "cron", _("by a cron text")
    INTERVAL = "interval", _("every so many seconds")
    ONCE = "once", _("once")


class CatchUp(models.TextChoices):
    """What a schedule does about the times that passed while no worker looked."""

    NONE = "none", _("leave them out")
    LAST = "last", _("make up for the last one")
    ALL = "all", _("make up for all of them")


TRANSITIONS: dict[str, frozenset[str]] = {
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.FAILED, State.CANCELLED, State.QUEUED}),
    State.RUNNING: frozenset(
        {State.RUNNING, State.QUEUED, State.WAITING, State.PAUSED, State.DONE, State.FAILED, State.CANCELLED}
    ),
    State.WAITING: frozenset({State.QUEUED, State.PAUSED, State.FAILED, State.CANCELLED}),
    State.PAUSED: frozenset({State.QUEUED, State.WAITING, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED, State.WAITING}),
    State.CANCELLED: frozenset({State.QUEUED, State.WAITING}),
}
"""From state → states that may follow it. Terminal states are left by redrive, requeue or follow-up only,
an item that ended while it waited for what it waited for."""


def may_follow(before: str, after: str) -> bool:
    """Say whether an item in state `before` may be moved to state `after`."""
    return after in TRANSITIONS[before]
