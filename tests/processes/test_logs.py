"""What a worker process writes into its log, read as a machine reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, all_in

pytestmark = pytest.mark.slow


def lines_of(workers: Fleet) -> list[dict[str, Any]]:
    return [json.loads(line) for line in workers.log.read_text().splitlines()]


def test_every_line_of_a_worker_is_json_and_tells_of_each_item_that_moved(fleet: StartFleet) -> None:
    workers = fleet()
    workers.environment |= {"ROOST_LOG_FORMAT": "json", "ROOST_LOG_LEVEL": "DEBUG"}
    good, rows, bad = (
        enqueue("flaky", {"failures": 1}).pk,
        enqueue("write", {"steps": 2}).pk,
        enqueue("flaky", {"failures": 99}, max_attempts=2).pk,
    )
    workers.start()
    workers.wait(30, all_in("done", pk__in=[good, rows]), "the ends")
    workers.wait(30, all_in("failed", pk=bad), "the dead letter")
    workers.stop()
    lines = lines_of(workers)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    told = {
        item: [
            (line["level"], line["state"], line["version"], line["attempt"])
            for line in lines
            if line["logger"] == "roost.items" and line["work_item"] == str(item)
        ]
        for item in (good, rows, bad)
    }
    assert told == {
        good: [("WARNING", "queued", 0, 1), ("DEBUG", "done", 1, 0)],
        rows: [("DEBUG", "running", 1, 0), ("DEBUG", "done", 2, 0)],
        bad: [("WARNING", "queued", 0, 1), ("ERROR", "failed", 0, 2)],
    }
    [dead] = [line for line in lines if line["level"] == "ERROR"]
    assert dead["fingerprint"] == WorkItem.objects.get(pk=bad).fingerprint
    assert (dead["engine"], dead["reason"], dead["error_type"]) == ("flaky", "attempts_exhausted", "RetryableError")


def test_at_the_level_of_the_demo_product_only_failures_are_told(fleet: StartFleet) -> None:
    workers = fleet()
    workers.environment |= {"ROOST_LOG_FORMAT": "json"}
    item = enqueue("flaky", {"failures": 1}).pk
    workers.start()
    workers.wait(30, all_in("done", pk=item), "the end")
    workers.stop()
    assert [line["level"] for line in lines_of(workers) if line["logger"] == "roost.items"] == ["WARNING"]
