"""The document that carries a run elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, FailFast, Field
from pydantic.config import JsonDict

from console.api.schemas.kinds import Switch
from runtime.operations.base import MAX_REASON

MOMENT = "2030-01-31T12:00:00Z"
Rows = Annotated[list[dict[str, Any]], FailFast()]
LEAST: JsonDict = {
    "format": "roost-run",
    "format_version": 1,
    "item": {"engine": "counter", "state": "done", "max_attempts": 5, "run_at": MOMENT, "created_at": MOMENT},
}
"""A document of a run of which nothing else is known."""


class RunDocument(Schema):
    """A run as `exportRun` or `roost export` gives it. What it lacks, and what is wrong in it, is told (422)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [LEAST]})

    format: str = Field(examples=["roost-run"])
    format_version: int = Field(examples=[1])
    redacted: bool = Field(False, description="Whether what looks like a secret was taken out.")
    item: dict[str, Any] = Field(description="The work item's columns.")
    snapshots: Rows = []
    events: Rows = []
    journal: Rows = []
    waits: Rows = []
    artifacts: Rows = Field([], description="What its files are, without their bytes.")


class ExportIn(Schema):
    """How a run is exported."""

    redact: Switch = Field(False, description="Take out what looks like a secret, also where this API masks nothing.")


class ImportIn(Schema):
    """Where a run is imported to, and why."""

    namespace: str = Field("", max_length=100, description="In place of the run's own.")
    reason: str = Field("", max_length=MAX_REASON, description="Kept in the copy's history.")
