from __future__ import annotations

from typing import Any

import pytest

from runtime.models import Artifact
from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(settings: Any) -> str:
    """Return the id of an item that has been run."""
    settings.ROOST_ENGINES = {"eventful": "tests.runtime.queries.stories.Eventful"}
    item = enqueue("eventful", {"steps": 3}, actor="ann")
    drain(skip_delays=True, engines=["eventful"])
    return str(item.pk)


def test_attempts_shows_each_try_with_its_error(told: str) -> None:
    printed = run("attempts", told)
    assert [part in printed for part in ("transient", "not yet", "retry")] == [True] * 3
    found = document("attempts", told)
    assert [(one["step"], one["number"], one["outcome"]) for one in found["attempts"]][1:3] == [
        (2, 1, "retry"),
        (2, 2, "retry"),
    ]
    assert found["next"] is None


def test_attempts_are_paged(told: str) -> None:
    page = document("attempts", told, "--limit", 2)
    assert f"more: --after {page['next']}" in run("attempts", told, "--limit", 2)
    rest = document("attempts", told, "--after", page["next"])
    assert [one["outcome"] for one in (*page["attempts"], *rest["attempts"])] == [
        *("step", "retry", "retry", "step", "step")
    ]


def test_explain_tells_the_run_in_words_and_as_json(told: str) -> None:
    printed = run("explain", told)
    assert "by ann for engine 'eventful'" in printed
    assert "Step 2 (part 2): committed" in printed
    assert "Now: Ended as done" in printed
    found = document("explain", told)
    assert [(one["step"], one["attempts"]) for one in found["steps"]] == [(1, 1), (2, 3), (3, 1)]
    file = str(Artifact.objects.get(work_item=told).pk)
    assert found["steps"][2]["files"] == [{"id": file, "name": "report.txt", "kind": "report", "size": 11}]
    assert (found["enqueued_by"], found["next"], found["item"]["payload"]) == ("ann", None, {"steps": 3})
    assert found["text"][0].startswith("Enqueued")


def test_explain_is_paged(told: str) -> None:
    page = document("explain", told, "--limit", 1)
    assert [one["step"] for one in page["steps"]] == [1]
    assert f"more: --after {page['next']}" in run("explain", told, "--limit", 1)
    assert [one["step"] for one in document("explain", told, "--after", page["next"])["steps"]] == [2, 3]


@pytest.mark.parametrize("command", ["attempts", "explain"])
def test_an_item_that_does_not_exist_is_exit_code_3_and_a_wrong_limit_is_2(command: str, told: str) -> None:
    assert refused(command, "00000000-0000-7000-8000-000000000000")[0] == 3
    assert refused(command, told, "--limit", 0)[0] == 2
