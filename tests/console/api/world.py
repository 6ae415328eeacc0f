"""A namespace with one of everything, and a request for every route that names what is in it.

A new route is tried by itself where its address says what it is about; one that does not is given its request in
`REQUESTS`, and a test fails until it is.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

import console.api.api  # noqa: F401 - declares the routes, and who may ask for them
from runtime.models import WorkItem
from runtime.operations.limits import set_limit
from runtime.operations.resource_capacity import set_capacity
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.console.api.conftest import Api
from tests.console.api.openapi import FILE
from tests.factories import (
    ArtifactFactory,
    JournalEntryFactory,
    SignalFactory,
    SnapshotFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)

THEIRS = "theirs"
WORKER = uuid.UUID(int=7)
MOMENT = "2026-01-31T12:00:00Z"
COLUMNS = {"engine": "counter", "state": "done", "max_attempts": 5, "run_at": MOMENT, "created_at": MOMENT}
"""What an exported run says of its item at the least."""
ENGINE = {"engine": "counter", "payload": {"count_to": 1}}

BODIES: dict[str, Any] = {
    "prioritiseWorkItem": {"priority": 1},
    "acknowledgeWorkItem": {"reason": "seen"},
    "resetCall": {"key": "thing"},
    "holdWorkItem": {"reason": "court"},
    "unholdWorkItem": {"reason": "court"},
    "signalWorkItem": {"name": "paid"},
    "setCapacity": {"capacity": 2},
    "setLimit": {"concurrency": 5},
    "setSchedule": {"engine": "counter", "payload": {"count_to": 1}, "every": 3600},
    "setTrigger": {"engine": "refund", "target": "counter", "payload": {"count_to": 1}},
    "setWebhook": {"engine": "counter", "verifier": "github", "payload": {"count_to": 1}},
    "setTarget": {"url": "https://ops.example/roost", "events": ["failed"]},
}
"""Bodies of routes whose address says what they are about."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """How a route without such an address is asked for what is theirs. `hides`: it answers, and tells nothing."""

    query: str = ""
    body: Any = None
    hides: bool = False


REQUESTS: dict[str, Request] = {
    "enqueueWorkItem": Request(body={**ENGINE, "namespace": THEIRS}),
    "enqueueWorkItems": Request(body={"items": [{**ENGINE, "namespace": THEIRS}]}),
    "importRun": Request(body={"format": "roost-run", "format_version": 1, "item": {**COLUMNS, "namespace": THEIRS}}),
    "listWorkItems": Request(hides=True),
    **{
        name: Request(query="state=failed&state=waiting", body=body, hides=True)
        for name, body in {
            **{f"{verb}WorkItems": {} for verb in ("cancel", "requeue", "redrive", "pause", "resume")},
            "acknowledgeWorkItems": {"reason": "seen"},
            "prioritiseWorkItems": {"priority": 1},
        }.items()
    },
    "streamEvents": Request(hides=True),
    "listSignals": Request(hides=True),
    "sendSignal": Request(body={"name": "paid", "namespace": THEIRS}),
    "listDeadLetters": Request(hides=True),
    "groupDeadLetters": Request(hides=True),
    "redriveDeadLetters": Request(body={"engine": "counter"}, hides=True),
    "acknowledgeDeadLetters": Request(body={"engine": "counter", "reason": "seen"}, hides=True),
    "listApprovals": Request(hides=True),
    "listEngines": Request(hides=True),
    "getEngine": Request(hides=True),
    "listWorkers": Request(),
    "drainWorker": Request(),
    "resumeWorker": Request(),
    "listResources": Request(query=f"namespace={THEIRS}"),
    "getStats": Request(query=f"namespace={THEIRS}"),
    "getMetrics": Request(),
    "runDoctor": Request(),
    "runPreflight": Request(),
    "listLimits": Request(),
    "setLimit": Request(body=BODIES["setLimit"]),
    "removeLimit": Request(),
    "listSchedules": Request(hides=True),
    "listTriggers": Request(),
    "setTrigger": Request(body=BODIES["setTrigger"]),
    "removeTrigger": Request(),
    "listWebhooks": Request(hides=True),
    "listTargets": Request(),
    "setTarget": Request(body=BODIES["setTarget"]),
    "removeTarget": Request(),
}

OPEN = ("isLive", "isReady")
"""Routes for everybody."""

LINKED = ("downloadByLink",)
"""Routes for whoever was given a link."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route of the description."""

    name: str
    method: str
    path: str

    @property
    def names_what_is_theirs(self) -> bool:
        """Whether its address says whose it is."""
        return "{item_id}" in self.path or "{namespace}" in self.path


@cache
def _paths() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())["paths"]
    return found


@cache
def routes() -> tuple[Route, ...]:
    """Return every route of the API, from the description that is kept: to make it anew takes seconds.

    `test_openapi.py` sees to it that they are the API's.
    """
    return tuple(
        Route(name=operation["operationId"], method=method.upper(), path=path)
        for path, methods in _paths().items()
        for method, operation in methods.items()
    )


def told_of(route: Route) -> dict[str, Any]:
    """Return what the description that is kept says of a route."""
    found: dict[str, Any] = _paths()[route.path][route.method.lower()]
    return found


def closed() -> list[Route]:
    """Return the routes that ask who calls."""
    return [route for route in routes() if route.name not in (*OPEN, *LINKED)]


def furnish() -> WorkItem:
    """Make one of everything in their namespace, and return an item that waits for an approval."""
    WorkItemFactory(failed=True, namespace=THEIRS, last_error={"message": "theirs alone"})
    set_schedule("thing", namespace=THEIRS, engine="counter", payload={"count_to": 1}, every=3600)
    set_webhook("thing", namespace=THEIRS, engine="counter", verifier="github")
    set_target("thing", url="https://ops.example/", events=["failed"], enabled=False)
    set_capacity("thing", 1, namespace=THEIRS)
    set_limit("thing", namespace=THEIRS, concurrency=1)
    set_trigger("thing", engine="refund", target="counter", payload={"count_to": 1})
    WorkerFactory(pk=WORKER)
    item: WorkItem = WaitFactory(work_item__namespace=THEIRS).work_item
    JournalEntryFactory(work_item=item, key="thing", state="failed")
    SnapshotFactory(work_item=item)
    SignalFactory(namespace=THEIRS, name="thing", payload={"theirs": "alone"})
    return item


def _file(item: WorkItem, route: Route) -> str:
    """Return the id of a file of the item, where the route is about one; any id for an item that is not there."""
    there = "{artifact_id}" in route.path and not item._state.adding
    return str(ArtifactFactory(work_item=item).pk if there else uuid.UUID(int=1))


def ask(caller: Api, route: Route, item: WorkItem, **headers: str) -> Any:
    """Send the request for a route, about what is in their namespace."""
    words = {
        "artifact_id": _file(item, route),
        "item_id": str(item.pk),
        "other_id": str(item.pk),
        "namespace": THEIRS,
        "key": "thing",
        "place": "payload",
        "worker_id": str(WORKER),
    }
    words["name"] = "counter" if route.name == "getEngine" else "thing"
    if route.name == "uploadArtifact":
        return _told(caller.upload(item.pk, **headers))
    path = re.sub(r"{(\w+)}", lambda match: words[match[1]], route.path)
    request = REQUESTS.get(route.name, Request(body=BODIES.get(route.name)))
    where = f"{path}?{request.query}" if request.query else path
    return _told(caller.call(route.method, where, request.body, **headers))


def _told(answer: Any) -> Any:
    """Give an answer the text that it tells."""
    if answer.streaming:
        answer.told = b"".join(answer.streaming_content).decode()
    elif answer.status_code < 400:
        answer.told = answer.content.decode()
    return answer
