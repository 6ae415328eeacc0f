"""Lists of what is configured and of the fleet: told whole, or page by page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from runtime import clock
from runtime.operations.limits import set_limit
from runtime.operations.resource_capacity import set_capacity
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.console.api.conftest import Api, problem
from tests.factories import ResourceClaimFactory, WorkerFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def paged(api: Api, path: str, rows: str) -> list[Any]:
    """Follow the pages of a list, two rows each."""
    found: list[Any] = []
    following: str | None = ""
    while following is not None:
        answer = api.get(f"{path}{'&' if '?' in path else '?'}limit=2&cursor={following}")
        assert answer.status_code == 200, answer.content
        told = answer.json()
        assert len(told[rows]) == (2 if told["next"] else len(told[rows])) <= 2
        found, following = found + told[rows], told["next"]
    return found


NAMED = ["Éa", "a b", "a-1", "A2", "b"]


def _schedules() -> None:
    for name in ("a", "b", "c"):
        set_schedule(name, engine="counter", payload={"count_to": 1}, every=60)
        set_schedule(name, namespace="other", engine="counter", payload={"count_to": 1}, every=60)


def _limits() -> None:
    for name in ("b", "A", "c", "a", "z-9"):
        set_limit(name, concurrency=1, engine=f"engine-{name}")


def _triggers() -> None:
    for name in ("b", "A", "c"):
        set_trigger(name, engine="refund", target="counter", payload={"count_to": 1})


def _webhooks() -> None:
    for name in ("b", "A", "c"):
        set_webhook(name, engine="counter", verifier="github", payload={"count_to": 1})
        set_webhook(name, namespace="other", engine="counter", verifier="github", payload={"count_to": 1})


def _targets() -> None:
    for name in ("b", "A", "c"):
        set_target(name, url="https://ops.example/", events=["failed"], enabled=False)


def _resources() -> None:
    for key in NAMED:
        set_capacity(key, 2)


def _workers() -> None:
    at = clock.now("default")
    for seconds in (0, 0, 5, 5, 9):
        WorkerFactory(started_at=at - dt.timedelta(seconds=seconds), state="offline")


LISTS: list[tuple[str, str, Callable[[], None], int]] = [
    ("/schedules", "schedules", _schedules, 6),
    ("/limits", "limits", _limits, 5),
    ("/triggers", "triggers", _triggers, 3),
    ("/webhooks", "webhooks", _webhooks, 6),
    ("/webhook-targets", "targets", _targets, 3),
    ("/workers?offline=true", "workers", _workers, 5),
    ("/resources?idle=true", "resources", _resources, 5),
]


@pytest.mark.parametrize(("path", "rows", "furnish", "count"), LISTS, ids=[rows for _, rows, _, _ in LISTS])
def test_a_list_is_told_whole_or_page_by_page(
    api: Api, settings: Any, path: str, rows: str, furnish: Callable[[], None], count: int
) -> None:
    settings.ROOST_TRIGGERS = settings.ROOST_WEBHOOKS = settings.ROOST_WEBHOOK_TARGETS = {}
    furnish()
    whole = api.get(path).json()
    assert (len(whole[rows]), whole["next"]) == (count, None)
    assert [_name(row) for row in paged(api, path, rows)] == [_name(row) for row in whole[rows]]
    assert len({_name(row) for row in whole[rows]}) == count
    join = "&" if "?" in path else "?"
    for bad in ("x", "LS01", "W10", "WyJhIl1b", "WyJcdTAwMDAiLCJcdTAwMDAiXQ", "W1tbW1tbW1tbW1tb"):
        problem(api.get(f"{path}{join}cursor={bad}"), 422, "invalid")
    problem(api.get(f"{path}{join}limit=0"), 422, "invalid")


def _name(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("namespace", "name", "key", "id"))


def test_pages_of_resources_neither_skip_nor_repeat_when_the_filter_changes(api: Api) -> None:
    claims = [ResourceClaimFactory(resource__key=key) for key in "abcd"]
    first = api.get("/resources?limit=2").json()
    claims[0].delete()  # nobody holds the first any more: it leaves the list
    second = api.get(f"/resources?limit=2&cursor={first['next']}").json()
    assert [one["key"] for one in first["resources"] + second["resources"]] == ["a", "b", "c", "d"]
    assert second["next"] is None
