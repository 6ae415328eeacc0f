"""Tell programs more of the API than ninja does: that refusals are problems, and what to do with what was made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext

from console.api.problems import MEDIA_TYPE, MOST_TOLD

JSON = "application/json"
VARIABLE = re.compile(r"{(\w+)}")

LINKS: dict[str, dict[str, str]] = {
    "enqueueWorkItem": {"item_id": "$response.body#/id"},
    "forkWorkItem": {"item_id": "$response.body#/id"},
    "importRun": {"item_id": "$response.body#/id"},
    "runSchedule": {"item_id": "$response.body#/id"},
    "uploadArtifact": {"item_id": "$request.path.item_id", "artifact_id": "$response.body#/id"},
    "setSchedule": {"namespace": "$request.path.namespace", "name": "$request.path.name"},
}
"""Route → what its answer says of the variables of other addresses. Each address made of just these is linked."""

TEXT = {"type": "string"}
BYTES = {"type": "string", "format": "binary"}
EVENT = {
    "description": "One event. What stands in a stream for many is, before OpenAPI 3.2, what each is like.",
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "What happened, or `reset`: read afresh what you show."},
        "data": {
            "type": "string",
            "description": "JSON: item, namespace, engine, seq, kind, version, actor and at; nothing with `reset`.",
        },
        "id": {"type": "string", "description": "Where the stream is, for Last-Event-ID."},
    },
    "required": ["event", "data"],
}
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "traceRun": ("text/html", TEXT),
    "getMetrics": ("text/plain", TEXT),
    "streamEvents": ("text/event-stream", EVENT),
    "downloadArtifact": ("*/*", BYTES),
    "downloadByLink": ("*/*", BYTES),
}
"""Route → of which kind its answer is, and its schema, where it is no JSON."""

Operation = tuple[str, dict[str, Any]]


class RoostAPI(NinjaAPI):
    """An API with a description of that kind, which says of a request no more than it has to."""

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Return what is wrong, place by place, or only how much: to list it all would take far more than the body."""
        wrong = sum(one.pydantic_validation_error.error_count() for one in error_contexts)
        if wrong <= MOST_TOLD:
            return super().validation_error_from_error_contexts(error_contexts)
        place = (error_contexts[0].model.__ninja_param_source__,)
        return ValidationError([{"loc": place, "msg": f"{wrong} things in it are wrong; up to {MOST_TOLD} are told."}])

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the description."""
        found = super().get_openapi_schema(**{"path_prefix": "", **options})
        for _path, operation in _operations(found):
            _tell_problems(operation)
            _tell_files(operation)
        for path, operation in _operations(found):
            _tell_links(path, operation, found)
        return found


def _operations(description: Any) -> Iterator[Operation]:
    for path, methods in description["paths"].items():
        for operation in methods.values():
            yield path, operation


def _tell_problems(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if status >= 400 and JSON in content:
            content[MEDIA_TYPE] = content.pop(JSON)


def _tell_files(operation: dict[str, Any]) -> None:
    """Say of which kind an answer is that is no JSON: one of no kind has no body."""
    if operation["operationId"] not in FILES:
        return
    kind, schema = FILES[operation["operationId"]]
    for status, response in operation["responses"].items():
        if status < 300:
            response["content"] = {kind: {"schema": schema}}


def _tell_links(path: str, operation: dict[str, Any], description: Any) -> None:
    """Link what the answer names to all that can be asked of it. Schedules are linked to schedules."""
    said = LINKS.get(operation["operationId"])
    if said is None:
        return
    family = path.split("/")[1] if "item_id" not in said else "work-items"
    links = {
        other["operationId"]: {"operationId": other["operationId"], "parameters": said}
        for where, other in _operations(description)
        if set(VARIABLE.findall(where)) == set(said) and where.split("/")[1] == family and other is not operation
    }
    for status, response in operation["responses"].items():
        if status < 400:
            response["links"] = links
