"""States and runs are laid side by side over HTTP, within reach, and without what is masked."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from console.api import heavy
from runtime.models import Snapshot, WorkItem
from runtime.operations.fork import fork
from tests.console.api.conftest import Api, Caller, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def states(item: WorkItem, *values: Any) -> WorkItem:
    """Give the item's versions these states."""
    for version, data in enumerate(values):
        Snapshot.objects.update_or_create(
            work_item=item, version=version, defaults={"data": data, "epoch": 1, "created_at": item.created_at}
        )
    return item


@pytest.fixture
def item() -> WorkItem:
    """Make an item with three states."""
    made = WorkItemFactory(done=True, version=2)
    return states(made, {"n": 0}, {"n": 1}, {"n": 1, "token": "old", "list": ["x"]})


def test_the_last_step_is_told_unless_two_versions_are_named(api: Api, item: WorkItem) -> None:
    found = api.get(f"/work-items/{item.pk}/diff").json()
    assert [(one["kind"], one["path"], one["after"]) for one in found["changes"]] == [
        ("added", "/list", ["x"]),
        ("added", "/token", "[redacted]"),
    ]
    assert (found["before"]["version"], found["after"]["version"], found["same"], found["more"]) == (1, 2, False, False)
    found = api.get(f"/work-items/{item.pk}/diff?from=0&to=1").json()
    assert [(one["path"], one["before"], one["after"]) for one in found["changes"]] == [("/n", 0, 1)]
    assert api.get(f"/work-items/{item.pk}/diff?from=2&to=2").json()["same"]


def test_a_state_is_compared_with_one_of_another_item(api: Api, item: WorkItem) -> None:
    other = states(WorkItemFactory(version=1), {"n": 0}, {"n": 1, "token": "new", "list": ["x"]})
    found = api.get(f"/work-items/{item.pk}/diff?other={other.pk}").json()
    assert (found["before"]["item"], found["after"]["item"], found["after"]["version"]) == (
        str(item.pk),
        str(other.pk),
        1,
    )
    assert (found["same"], found["changes"], found["more"]) == (False, [], True), "what is masked differs, unseen"


def test_an_item_without_a_step_differs_from_itself_in_nothing(api: Api) -> None:
    item = states(WorkItemFactory(version=0), {"n": 0})
    assert api.get(f"/work-items/{item.pk}/diff").json()["same"]


def test_a_version_that_is_not_there_is_not_found(api: Api, item: WorkItem) -> None:
    assert "It has: 0-2." in problem(api.get(f"/work-items/{item.pk}/diff?from=7"), 404, "not_found")["detail"]
    told = problem(api.get(f"/work-items/{item.pk}/diff?from=-1"), 422, "invalid")
    assert told["errors"][0]["field"] == "query.from"


def test_values_that_are_too_large_are_left_out(api: Api) -> None:
    item = states(WorkItemFactory(version=1), {"log": ""}, {"log": "x" * 70_000})
    [change] = api.get(f"/work-items/{item.pk}/diff").json()["changes"]
    assert change == {"kind": "changed", "path": "/log", "before": None, "after": None, "left_out": True}


def test_two_runs_are_told_page_by_page(api: Api, item: WorkItem) -> None:
    other = states(WorkItemFactory(done=True, version=2), {"n": 0}, {"n": 5}, {"n": 6})
    first = api.get(f"/work-items/{item.pk}/diff/{other.pk}?limit=2").json()
    assert [(one["left"]["version"], one["same"]) for one in first["versions"]] == [(0, True), (1, False)]
    assert first["versions"][1]["changes"][0]["path"] == "/n"
    assert first["diverged"] == 1
    rest = api.get(f"/work-items/{item.pk}/diff/{other.pk}?limit=2&cursor={first['next']}").json()
    assert ([one["left"]["version"] for one in rest["versions"]], rest["next"]) == ([2], None)


def test_a_fork_stands_beside_what_it_was_forked_from(api: Api, item: WorkItem) -> None:
    made = fork(item.pk, version=2)
    found = api.get(f"/work-items/{item.pk}/diff/{made.pk}").json()
    assert found["shift"] == -2
    [only] = found["versions"]
    assert (only["left"]["version"], only["right"]["version"], only["same"], only["changes"]) == (2, 0, True, [])
    longer = api.get(f"/work-items/{item.pk}/diff/{WorkItemFactory(version=0).pk}").json()["versions"][2]
    assert (longer["right"], longer["same"], longer["changes"], longer["more"]) == (None, False, None, None)


@pytest.mark.parametrize("path", ["diff?other={}", "diff/{}"])
def test_the_other_item_has_to_be_within_reach_too(path: str, caller: Caller) -> None:
    ours, theirs = WorkItemFactory(namespace="ours", version=1), WorkItemFactory(namespace="theirs", version=1)
    api = caller(namespaces=("ours",))
    for other in (theirs.pk, uuid.uuid4()):
        told = problem(api.get(f"/work-items/{ours.pk}/{path.format(other)}"), 404, "not_found")
        assert told["detail"] == f"There is no work item {other}."


def test_no_more_of_such_requests_are_served_at_once_than_may(
    api: Api, item: WorkItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with heavy.heavy():
        assert api.get(f"/work-items/{item.pk}/diff").status_code == 200
        monkeypatch.setattr(heavy.heavy, "_free", heavy.threading.BoundedSemaphore(1))
        with heavy.heavy():
            assert problem(api.get(f"/work-items/{item.pk}/diff"), 503, "busy")
        monkeypatch.undo()
    assert api.get(f"/work-items/{item.pk}/diff").status_code == 200
