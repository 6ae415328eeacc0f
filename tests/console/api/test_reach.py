"""For every route there is: nobody gets at what is in a namespace out of their reach, or learns that it is there."""

from __future__ import annotations

import re
import uuid

import pytest

from console.api.routes import ACCESS
from runtime import tokens
from runtime.models import Event, Limit, Schedule, Trigger, Webhook, WebhookTarget, WorkItem
from tests.console.api.conftest import Api, Caller, problem
from tests.console.api.world import BODIES, LINKED, OPEN, REQUESTS, THEIRS, ask, closed, furnish, routes

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
NAMES = {route.name: route for route in closed()}
SETS = ("setSchedule", "setCapacity", "setWebhook")
"""Routes that make what is not there: whose namespace it is, they say."""


def everything() -> list[tuple[object, ...]]:
    """Return what a forbidden request could have changed."""
    tables = (WorkItem, Event, Schedule, Webhook, WebhookTarget, Limit, Trigger)
    return [row for table in tables for row in table.objects.order_by("pk").values_list("pk")] + list(
        WorkItem.objects.order_by("pk").values_list("row_version", "state")
    )


def test_every_route_is_tried() -> None:
    unnamed = {route.name for route in closed() if not route.names_what_is_theirs}
    assert set(REQUESTS) == unnamed, "say in tests/console/api/world.py how the route is asked for what is theirs"
    assert set(BODIES) <= {route.name for route in routes()}
    assert set(ACCESS) == set(NAMES)


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
def test_what_is_theirs_is_out_of_reach(name: str, caller: Caller) -> None:
    route, item = NAMES[name], furnish()
    before = everything()
    answer = ask(caller(namespaces=("ours",)), route, item)
    if name in REQUESTS and REQUESTS[name].hides:
        assert answer.status_code == 200
    elif ACCESS[name].everywhere or not route.names_what_is_theirs or name in SETS:
        problem(answer, 403, "forbidden")
    else:
        problem(answer, 404, "not_found")
    if answer.status_code == 200:
        assert THEIRS not in answer.told
        assert not re.search(r"\bthing\b", answer.told)
        assert str(item.pk) not in answer.told
    assert everything() == before


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
def test_who_reaches_it_gets_at_it(name: str, caller: Caller) -> None:
    """Otherwise the test above would be about requests that nobody may make."""
    route, item = NAMES[name], furnish()
    reach = ("*",) if ACCESS[name].everywhere else (THEIRS,)
    answer = ask(caller(namespaces=reach), route, item)
    assert answer.status_code in (200, 201, 202, 204, 409), problem(answer, answer.status_code)


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
def test_unknown_and_out_of_reach_look_the_same(name: str, caller: Caller) -> None:
    route = NAMES[name]
    if "{item_id}" not in route.path:
        pytest.skip("it names no item")
    item, ours = furnish(), caller(namespaces=("ours",))
    nobodys = WorkItem(pk=uuid.uuid4())
    theirs, nowhere = ask(ours, route, item), ask(ours, route, nobodys)
    assert theirs.status_code == nowhere.status_code
    assert theirs.content.decode().replace(str(item.pk), "") == nowhere.content.decode().replace(str(nobodys.pk), "")


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
def test_nobody_does_it_without_saying_who_they_are(name: str, db: None) -> None:
    item = furnish()
    problem(ask(Api(), NAMES[name], item), 401)


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
def test_it_takes_its_permission_and_no_other(name: str, caller: Caller) -> None:
    item, access = furnish(), ACCESS[name]
    others = sorted(tokens.PERMISSIONS - {access.permission})
    told = problem(ask(caller(*others), NAMES[name], item), 403, "forbidden")
    assert f"roost.{access.permission}" in told["detail"]
    answer = ask(caller(access.permission), NAMES[name], item)
    assert answer.status_code in (200, 201, 202, 204, 409), problem(answer, answer.status_code)


def test_some_are_for_everybody(db: None) -> None:
    for route in routes():
        if route.name in OPEN:
            assert Api().call(route.method, route.path).status_code == 200


def test_some_are_for_whoever_was_given_a_link(api: Api) -> None:
    """Nobody else gets further with a token, or with all of them."""
    for route in routes():
        if route.name in LINKED:
            problem(api.call(route.method, route.path), 422, "invalid")
            problem(api.call(route.method, f"{route.path}?link=x"), 404, "not_found")
