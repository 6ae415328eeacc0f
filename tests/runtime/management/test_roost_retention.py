"""`roost prune` from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.queries import growth
from tests.factories import MailboxFactory, ResourceFactory, SignalFactory, WorkItemFactory, now
from tests.runtime.management.cli import document, refused, run
from tests.runtime.operations.aged import DAY, ended, lived

pytestmark = pytest.mark.django_db


def test_prune_says_what_it_would_remove_and_removes_it() -> None:
    old, live = ended(31), WorkItemFactory()
    dry = document("prune", "--dry-run")
    assert dry == {"dry_run": True, "items": 1, "kept": 0, "more": False, "would_go": [str(old.pk)]}
    assert run("prune", "--dry-run") == "1 items would be removed.\n"
    assert document("prune")["rows"] == {"roost.WorkItem": 1, "roost.Event": 2, "roost.Snapshot": 2}
    assert list(WorkItem.objects.all()) == [live]
    assert run("prune") == "There is nothing to remove.\n"


def test_prune_removes_idle_resources_unless_it_is_narrowed() -> None:
    for key in ("a", "b"):
        ResourceFactory(key=key)
    document("prune", "--dry-run")
    assert document("prune", "--engine", "a")["rows"] == {}
    assert document("prune")["rows"] == {"roost.Resource": 2}
    assert run("prune") == "There is nothing to remove.\n"


def test_prune_takes_filters() -> None:
    ended(8, engine="a"), ended(8, engine="b"), ended(8, engine="b", namespace="n")
    assert document("prune", "--engine", "b", "--namespace", "n", "--older-than", "7")["items"] == 1
    assert document("prune", "--older-than", "7", "--limit", "1")["items"] == 1
    assert "items           1\n" in run("prune", "--older-than", "7")


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("arguments", [("--engine", ""), ("--older-than", "nan"), ("--limit", "0"), ("--older", "-1")])
def test_a_filter_that_makes_no_sense_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    ended(400)
    assert refused("prune", *arguments)[0] == 2
    assert WorkItem.objects.count() == 1


def test_hold_keeps_and_unhold_lets_go() -> None:
    item = ended(400)
    assert refused("hold", item.pk)[0] == 2
    assert document("hold", item.pk, "--reason", "case 1")["moved"] == [
        {"id": str(item.pk), "state": "done", "reason": ""}
    ]
    assert "legal hold" in run("inspect", item.pk)
    assert document("prune")["items"] == 0
    run("unhold", item.pk, "--reason", "closed")
    assert document("prune")["items"] == 1


def test_history_of_items_that_stay_goes_when_asked() -> None:
    lived(6, old=4)
    assert refused("prune", "--history", "--engine", "a")[0] == 2
    assert refused("prune", "--history", "--dry-run")[0] == 2
    SignalFactory(created_at=now(-100 * DAY)), MailboxFactory(name="go")
    removed = {"items": 1, "events": 5, "snapshots": 5, "signals": 1}
    assert document("prune", "--history")["history"] == removed
    assert "history items      0\n" in run("prune", "--history")


def test_the_forecast_says_how_large_the_tables_are_and_will_be() -> None:
    ended(40, version=3), lived(2, old=2)
    before = WorkItem.objects.count()
    told = document("prune", "--forecast")
    by_table = {one["table"]: one for one in told["tables"]}
    assert (told["items"], told["more"]) == (1, False)
    assert by_table["roost_workitem"]["free_rows"] == 1
    assert by_table["roost_event"]["free_rows"] == 2
    assert by_table["roost_snapshot"]["free_rows"] == 4
    assert by_table["roost_snapshot"]["rows"] >= 7
    assert by_table["roost_event"]["rows_a_day"] == pytest.approx(5 / 100, rel=0.01)
    assert "ended items are kept for 30" in run("prune", "--forecast")
    assert "roost_journalentry" in run("prune", "--forecast")
    assert WorkItem.objects.count() == before


def test_doctor_tells_of_retention_and_warns_where_nothing_ever_goes(settings: Any) -> None:
    def told() -> Any:
        [found] = [one for one in document("doctor")["findings"] if one["check"] == "retention"]
        return found

    assert told()["level"] == "ok"
    settings.ROOST_RETENTION_DAYS = None
    assert told()["level"] == "warning"
    assert "for ever" in told()["text"]


def test_sizes_are_written_for_people() -> None:
    assert [growth.size(one) for one in (None, 0, 999, 1_500, 250_000, 2.5e9, 3e15)] == [
        *("-", "0 B", "999 B", "1.5 kB", "250 kB", "2.5 GB", "3000 TB")
    ]
