"""For every route there is: a session whose user reaches one namespace gets at nothing that is in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from console import links
from console.api.routes import ACCESS
from console.callers import Caller
from runtime.models import WorkItem
from tests.console.api.conftest import ROOT, Api, problem
from tests.console.api.test_reach import NAMES, SETS, everything
from tests.console.api.world import REQUESTS, THEIRS, ask, furnish
from tests.factories import ArtifactFactory, WorkItemFactory

pytestmark = pytest.mark.django_db
REACH: dict[str, Any] = {"limited": ["ours"], "friend": [THEIRS], "nobody": [], "broken": 7, "boss": None}


def namespaces_of(user: Any) -> Any:
    return REACH[user.username]


@pytest.fixture
def session(settings: Any) -> Callable[[str], Api]:
    """Make callers with a session of a superuser, by the name that says what they reach."""
    settings.ROOST_NAMESPACES_OF = f"{__name__}.namespaces_of"

    def make(name: str) -> Api:
        api = Api()
        api.client.force_login(User.objects.create_superuser(name))
        return api

    return make


@pytest.mark.matrix
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("who", ["limited", "nobody", "broken"])
def test_what_is_theirs_is_out_of_reach(who: str, name: str, session: Any) -> None:
    route, item = NAMES[name], furnish()
    before = everything()
    answer = ask(session(who), route, item)
    if name in REQUESTS and REQUESTS[name].hides:
        # Whoever reaches nothing has no namespace in which something could be done.
        assert answer.status_code == 200 or (who != "limited" and problem(answer, 403, "forbidden"))
    elif ACCESS[name].everywhere or not route.names_what_is_theirs or name in SETS:
        problem(answer, 403, "forbidden")
    else:
        problem(answer, 404, "not_found")
    if answer.status_code == 200:
        assert THEIRS not in answer.told
        assert '"thing"' not in answer.told
        assert str(item.pk) not in answer.told
    assert everything() == before


@pytest.mark.parametrize("name", NAMES)
def test_who_reaches_it_gets_at_it(name: str, session: Any) -> None:
    """Otherwise the test above would be about requests that nobody may make."""
    route, item = NAMES[name], furnish()
    answer = ask(session("boss" if ACCESS[name].everywhere else "friend"), route, item)
    assert answer.status_code in (200, 201, 202, 204, 409), problem(answer, answer.status_code)


def test_what_is_meant_without_a_namespace_is_the_only_one_in_reach(session: Any) -> None:
    api = session("limited")
    made = api.post("/work-items", {"engine": "counter", "payload": {"count_to": 1}}).json()
    assert made["namespace"] == "ours"
    refused = problem(session("nobody").post("/work-items", {"engine": "counter", "payload": {"count_to": 1}}), 403)
    assert refused["detail"] == "The namespace 'default' is out of reach of nobody."


def test_a_link_ends_with_its_makers_reach(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session("friend")
    file = ArtifactFactory(work_item=WorkItemFactory(namespace=THEIRS))
    link = links.make(file, Caller.of_user(User.objects.get(username="friend")))
    assert links.file_of(link) == file
    monkeypatch.setitem(REACH, "friend", ["ours"])
    assert links.file_of(link) is None
    stranger = Api()
    assert stranger.client.get(f"{ROOT}/downloads", {"link": links.signed(link)}).status_code == 404


def test_a_verb_on_all_items_tells_nobody_of_those_of_others(session: Any) -> None:
    items = {space: WorkItemFactory(namespace=space, failed=True) for space in ("ours", THEIRS)}
    answer = session("boss").post("/work-items/verbs/redrive", {"all": True})
    assert answer.status_code == 202, answer.content
    made = {one.namespace: one.payload["items"] for one in WorkItem.objects.filter(engine="bulk_verb")}
    assert made == {space: [str(item.pk)] for space, item in items.items()}
    session("limited").post("/work-items/verbs/cancel", {"all": True})
    [third] = WorkItem.objects.filter(engine="bulk_verb", payload__verb="cancel")
    assert third.namespace == "ours"
    assert str(items[THEIRS].pk) not in third.payload["items"]
