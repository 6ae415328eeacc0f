"""Two tenants with one of everything each, and somebody who reaches one of them and may do everything there."""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from console.admin import display
from runtime.models import ApiToken, DoneRequest, Offloaded, PrunedHistory, WorkItem
from runtime.operations.limits import set_limit
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.tokens import create_token
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.console.roles import MODELS
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    LeaseFactory,
    MailboxFactory,
    ResourceClaimFactory,
    ResourceFactory,
    SignalFactory,
    SnapshotFactory,
    WaitFactory,
    WorkItemFactory,
    now,
)

OURS, THEIRS = "ours-alone", "theirs-alone"
LIMITED = "limited"
SETTING = f"{__name__}.namespaces_of"
SHORTEST = 5
"""Characters of what was typed that cannot be somewhere on the page by chance."""
OF_NOBODY = frozenset({"apitoken", "blob", "donerequest", "eventhorizon", "worker"})
"""Tables whose rows concern the whole installation."""
RULES = frozenset({"limit", "trigger", "webhooktarget"})
"""Tables whose rows have names of the whole installation: seen in part, and changed by who reaches all."""


def namespaces_of(user: Any) -> Any:
    """Say what users reach: whoever is called limited our namespace, all others everything."""
    return [OURS] if user.get_username() == LIMITED else None


def furnish(space: str) -> dict[str, Any]:
    """Make one of everything in a namespace whose texts all tell its name; return the rows by table."""
    error = {"type": "Broken", "code": "broken", "message": f"{space} failed", "traceback": f"{space} trace"}
    values = {"step_label": f"{space} label", "idempotency_key": f"{space}-key", "last_error": error}
    body = {"payload": {"who": f"{space} payload"}, "result": {"who": f"{space} result"}}
    item: WorkItem = WorkItemFactory(namespace=space, failed=True, version=1, snapshots=False, **values, **body)
    file = ArtifactFactory(work_item=item, name=f"{space}.txt", content=f"{space} bytes".encode())
    resource = ResourceFactory(namespace=space, key=f"{space} lock")
    parked = {"namespace": space, "reason": "resource", "limited": True, "engine": f"{space}-engine"}
    lease = LeaseFactory(
        work_item__namespace=space,
        work_item__running=True,
        work_item__lease_row=False,
        expired=True,
        progress={"who": f"{space} progress"},
    )
    WorkItemFactory(namespace=space, paused=True, reason="held", engine=f"{space}-engine")
    WorkItemFactory(namespace=space, attempt=1, engine=f"{space}-engine")
    WorkItemFactory(namespace=space, parent=item, engine=f"{space}-engine")
    data = {"message": f"{space} message"}
    made = {
        "artifact": file,
        "event": EventFactory(work_item=item, kind="failed", actor=f"{space} actor", reason=f"{space} why", data=data),
        "journalentry": JournalEntryFactory(
            work_item=item, key=f"{space} call", name=f"{space}.charge", state="failed"
        ),
        "lease": lease,
        "mailbox": MailboxFactory(namespace=space, name=f"{space} mail"),
        "offloaded": Offloaded.objects.create(work_item=item, place="state", version=1, blob=file.blob),
        "prunedhistory": PrunedHistory.objects.create(work_item=item, pruned_at=now()),
        "resource": resource,
        "resourceclaim": ResourceClaimFactory(resource=resource, held=False, work_item=WorkItemFactory(**parked)),
        "signal": SignalFactory(namespace=space, name=f"{space} mail", payload={"who": f"{space} signal"}),
        "snapshot": SnapshotFactory(work_item=item, version=1, label=f"{space} label", data={"who": f"{space} state"}),
        "wait": WaitFactory(
            work_item__namespace=space, key=f"{space} question", prompt=f"{space} asks", expires_at=now(60)
        ),
        "workitem": item,
    }
    return {**made, **_configured(space), "worker": lease.worker, "blob": file.blob}


def _configured(space: str) -> dict[str, Any]:
    count = {"engine": "counter", "payload": {"count_to": 1}}
    set_trigger(
        f"{space}-next",
        namespace=space,
        engine="refund",
        target="counter",
        payload=count["payload"],
        note=f"{space} note",
    )
    set_target(f"{space}-ops", namespace=space, url="https://ops.example/", events=["failed"], note=f"{space} note")
    set_webhook(f"{space}-hook", namespace=space, verifier="github", note=f"{space} note", engine="counter")
    set_schedule(f"{space}-nightly", namespace=space, every=3600, note=f"{space} note", **count)
    set_limit(f"{space}-cap", namespace=space, concurrency=1, note=f"{space} note")
    create_token(f"{space}-token", scopes=["read"], namespaces=[space], note=f"{space} note")
    DoneRequest.objects.get_or_create(key="b" * 64, defaults={"asked": "c" * 64, "done_at": now()})
    found: dict[str, Any] = {
        name: MODELS[name]._default_manager.get(name__startswith=space)
        for name in ("trigger", "webhooktarget", "webhook", "schedule", "limit")
    }
    return {**found, "apitoken": ApiToken.objects.get(name=f"{space}-token"), "donerequest": DoneRequest.objects.get()}


def everything() -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    return {name: list(model._default_manager.order_by("pk").values()) for name, model in MODELS.items()}


def tell_tales(space: str = THEIRS) -> set[str]:
    """Return the texts by which a page tells of what is in a namespace: its name, and ids of its items and waits."""
    items = WorkItem.objects.filter(namespace=space).values_list("pk", flat=True)
    waits = MODELS["wait"]._default_manager.filter(work_item__namespace=space).values_list("pk", flat=True)
    return {space, *map(str, (*items, *waits)), *map(display.short_id, items)}


def told(answer: Any, typed: Iterable[object] = (), space: str = THEIRS) -> set[str]:
    """Return what an answer tells of a namespace, but for what was typed to ask for it."""
    text = content(answer)
    for one in sorted((one for one in map(str, typed) if len(one) > SHORTEST), key=len, reverse=True):
        once = (one, html.escape(one), quote(one), quote_plus(one), quote(one, safe=""))
        for said in (*once, *map(quote_plus, once)):
            text = text.replace(said, "")
    return {tale for tale in tell_tales(space) if tale in text}


def content(answer: Any) -> str:
    """Return the body of an answer, a stream's too, and where it leads."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return f"{body.decode(errors='replace')} {answer.get('Location', '')}"


def ids(rows: Iterable[Any]) -> list[uuid.UUID]:
    """Return the keys of rows."""
    return [row.pk for row in rows]
