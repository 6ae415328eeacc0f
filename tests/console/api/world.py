"""A namespace with one of everything, and a request for every route that names what is in it.

A new route is tried by itself where its address says what it is about; one that does not is given its request in
`REQUESTS`, and a test fails until it is.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from console.api.api import api
from runtime.models import WorkItem
from runtime.operations.limits import set_limit
from runtime.operations.resource_capacity import set_capacity
from runtime.operations.schedules import set_schedule
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.console.api.conftest import Api
from tests.factories import ArtifactFactory, WaitFactory, WorkItemFactory

THEIRS = "theirs"
ENGINE = {"engine": "counter", "payload": {"count_to": 1}}

BODIES: dict[str, Any] = {
    "prioritiseWorkItem": {"priority": 1},
    "acknowledgeWorkItem": {"reason": "seen"},
    "holdWorkItem": {"reason": "court"},
    "unholdWorkItem": {"reason": "court"},
    "signalWorkItem": {"name": "paid"},
    "setCapacity": {"capacity": 2},
    "setLimit": {"concurrency": 5},
    "setSchedule": {"engine": "counter", "payload": {"count_to": 1}, "every": 3600},
    "setTrigger": {"engine": "refund", "target": "counter", "payload": {"count_to": 1}},
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
    "listWorkItems": Request(hides=True),
    "streamEvents": Request(hides=True),
    "sendSignal": Request(body={"name": "paid", "namespace": THEIRS}),
    "listDeadLetters": Request(hides=True),
    "groupDeadLetters": Request(hides=True),
    "redriveDeadLetters": Request(body={"engine": "counter"}, hides=True),
    "acknowledgeDeadLetters": Request(body={"engine": "counter", "reason": "seen"}, hides=True),
    "listApprovals": Request(hides=True),
    "listEngines": Request(hides=True),
    "getEngine": Request(hides=True),
    "listWorkers": Request(),
    "listResources": Request(query=f"namespace={THEIRS}"),
    "getStats": Request(query=f"namespace={THEIRS}"),
    "listLimits": Request(),
    "setLimit": Request(body=BODIES["setLimit"]),
    "removeLimit": Request(),
    "listSchedules": Request(hides=True),
    "listTriggers": Request(),
    "setTrigger": Request(body=BODIES["setTrigger"]),
    "removeTrigger": Request(),
    "listWebhooks": Request(hides=True),
    "listTargets": Request(),
}

OPEN = ("isLive", "isReady")
"""Routes for everybody."""


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


def routes() -> list[Route]:
    """Return every route of the API, from its description."""
    paths = api.get_openapi_schema()["paths"]
    return [
        Route(name=operation["operationId"], method=method.upper(), path=path)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def closed() -> list[Route]:
    """Return the routes that ask who calls."""
    return [route for route in routes() if route.name not in OPEN]


def furnish() -> WorkItem:
    """Make one of everything in their namespace, and return an item that waits for an approval."""
    WorkItemFactory(failed=True, namespace=THEIRS, last_error={"message": "theirs alone"})
    set_schedule("thing", namespace=THEIRS, engine="counter", payload={"count_to": 1}, every=3600)
    set_webhook("thing", namespace=THEIRS, engine="counter", verifier="github")
    set_capacity("thing", 1, namespace=THEIRS)
    set_limit("thing", namespace=THEIRS, concurrency=1)
    set_trigger("thing", engine="refund", target="counter", payload={"count_to": 1})
    item: WorkItem = WaitFactory(work_item__namespace=THEIRS).work_item
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
        "namespace": THEIRS,
        "key": "thing",
        "place": "payload",
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
