"""Rows for requests to be about: items in every state, with all that belongs to them."""

from __future__ import annotations

from typing import Any

from console import links
from console.callers import Caller
from runtime import tokens
from runtime.choices import WaitKind
from runtime.models import Artifact, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.limits import set_limit
from runtime.operations.resource_capacity import set_capacity
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.tokens import create_token
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.factories import (
    ArtifactFactory,
    JournalEntryFactory,
    ResourceClaimFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)

STATES: tuple[dict[str, Any], ...] = (
    {},
    {"running": True, "version": 2},
    {"paused": True, "version": 1},
    {"done": True},
    {"failed": True, "version": 1},
    {"cancelled": True},
)
NAME = "thing"
NAMES = tuple(f"{NAME}-{number}" for number in range(8))
"""Names of what requests remove."""
OF_EACH = 3

Words = dict[str, list[str]]
"""Parameter → values of it that there is something to find by."""


def furnish() -> Words:
    """Make one of everything, some of it in a second namespace; return what it is called."""
    for namespace in ("default", "other"):
        for state in STATES * OF_EACH:
            WorkItemFactory(namespace=namespace, **state)
        for _ in range(OF_EACH):
            WaitFactory(kind=WaitKind.APPROVAL, work_item__namespace=namespace, work_item__reason="approval")
            WaitFactory(kind=WaitKind.INPUT, work_item__namespace=namespace, work_item__reason="input")
        for name in NAMES:
            set_schedule(name, namespace=namespace, engine="counter", payload={"count_to": 1}, every=3600)
            set_webhook(name, namespace=namespace, engine="counter", verifier="github")
        set_capacity(NAME, 2, namespace=namespace)
    parent = enqueue("counter", {"count_to": 1}, idempotency_key="known", resources=[NAME])
    WorkItemFactory(parent=parent, relation="part")
    JournalEntryFactory(work_item=WorkItemFactory(done=True))
    ArtifactFactory(content=b"0123456789", name="scan.pdf", content_type="application/pdf")
    ResourceClaimFactory()
    WorkerFactory()
    for name in NAMES:
        set_limit(name, namespace="other", concurrency=1)
        set_trigger(name, engine="refund", target="counter", payload={"count_to": 1})
        set_target(name, url="https://ops.example/", events=["failed"], enabled=False, secret="s" * 30)
    set_target(NAME, url="https://127.0.0.1:9/", events=["failed"], secret="s" * 30)
    artifact = Artifact.objects.get()
    giver = Caller.of_token(create_token("giver", scopes=["payload"], namespaces=[tokens.EVERYWHERE]).row)
    # The file's item is in front, so that some requests name both.
    items = [artifact.work_item_id, *WorkItem.objects.order_by("pk").values_list("pk", flat=True)]
    return {
        "path.item_id": [str(item) for item in items],
        "path.other_id": [str(item) for item in items[:6]],
        "query.other": [str(item) for item in items[:6]],
        "path.artifact_id": [str(artifact.pk)],
        "path.namespace": ["default", "other"],
        "path.name": [*NAMES, "counter"],
        "path.key": [NAME],
        "path.place": ["payload", "result", "state"],
        "query.namespace": ["default", "other"],
        "query.engine": ["counter", "refund"],
        "query.parent": [str(parent.pk)],
        "query.link": [links.signed(links.make(artifact, giver))],
        # One of them takes any payload.
        "body.engine": ["hop", "counter"],
        "body.target": ["hop"],
        "header.If-Match": ["*", '"1"'],
    }


def token() -> str:
    """Make a token that may do everything everywhere."""
    return create_token("fuzz", scopes=sorted(tokens.PERMISSIONS), namespaces=[tokens.EVERYWHERE]).text
