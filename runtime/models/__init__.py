"""Roost's tables, the whole model in a screen.

    WorkItem ──< Snapshot        the state after step k; (work_item, version) is unique
        │
        ├──< Event               append-only history, seq 1…n without a gap, written with the change it tells of
        ├──< Artifact >── Blob   named files; bytes once per content, in a Django storage
        ├──< Offloaded >── Blob  large values that were moved there, and where they belong
        ├──< ResourceClaim >── Resource
        ├─── Lease >── Worker    one row while a worker owns the item
        ├──< JournalEntry        calls of its steps: made once, and their results kept
        ├──< Wait >── Signal     what it waits for, and the mailbox of signals that answer it
        ├─── PrunedHistory       how far its history has been removed; most items have none
        └──< WorkItem            children

    Schedule                     what is enqueued by the clock, and when
    Trigger                      what is enqueued when an item of some engine ends, as its child
    Webhook                      what is enqueued when somebody calls, and how the caller is known
    WebhookTarget                who is called when an item ends or waits, and what about
    ApiToken                     who may use the API, for what and where
    DoneRequest                  which requests of the API with a key of theirs were done
    EventHorizon                 how recent an event was ever removed
    Limit                        how many of which items may run at once, and how often; claims look it up

A worker owns an item through its lease. Every write of a step carries the epoch it was claimed with; whatever takes
the item away (cancel, requeue, sweep, …) raises the item's epoch, so that a late write finds nothing to update.
`version` counts committed steps, `row_version` counts writes. All changes go through `runtime.operations` (people
and products) or `runtime.store` (workers); rows are never edited in place by anybody else.
"""

from __future__ import annotations

from runtime.models.artifact import Artifact, Blob
from runtime.models.done_request import DoneRequest
from runtime.models.event import Event
from runtime.models.journal import JournalEntry
from runtime.models.lease import Lease
from runtime.models.limit import Limit
from runtime.models.offloaded import Offloaded
from runtime.models.pruned import EventHorizon, PrunedHistory
from runtime.models.resource import Resource, ResourceClaim
from runtime.models.schedule import Schedule
from runtime.models.snapshot import Snapshot
from runtime.models.token import ApiToken
from runtime.models.trigger import Trigger
from runtime.models.wait import Mailbox, Signal, Wait
from runtime.models.webhook import Webhook
from runtime.models.webhook_target import WebhookTarget
from runtime.models.worker import Worker
from runtime.models.workitem import WorkItem

__all__ = [
    "ApiToken",
    "Artifact",
    "Blob",
    "DoneRequest",
    "Event",
    "EventHorizon",
    "JournalEntry",
    "Lease",
    "Limit",
    "Mailbox",
    "Offloaded",
    "PrunedHistory",
    "Resource",
    "ResourceClaim",
    "Schedule",
    "Signal",
    "Snapshot",
    "Trigger",
    "Wait",
    "Webhook",
    "WebhookTarget",
    "WorkItem",
    "Worker",
]
