"""The API masks what the admin masks, for every caller, and gives nothing to who may read no contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.choices import EventKind
from runtime.models import Schedule, Snapshot, Trigger, WorkItem
from runtime.operations.schedules import set_schedule
from runtime.operations.triggers import set_trigger
from runtime.queries.redaction import HOOK_FAILED
from tests.console.api.conftest import Api, Caller
from tests.console.test_redaction import HOLDS, SECRET
from tests.factories import ArtifactFactory, EventFactory, JournalEntryFactory, WaitFactory, WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("B18")]
ERROR = {"type": "E", "message": f"herring, Bearer {SECRET}", "traceback": f"postgres://me:{SECRET}@db/x", **HOLDS}
HOOKS = "tests.console.test_redaction"


@pytest.fixture
def item() -> WorkItem:
    """Make a dead letter that holds secrets wherever one can be."""
    made: WorkItem = WorkItemFactory(
        failed=True, version=1, payload=HOLDS, result=HOLDS, config=HOLDS, last_error=ERROR, fingerprint="f" * 16
    )
    Snapshot.objects.filter(work_item=made).update(data=HOLDS)
    EventFactory(work_item=made, kind=EventKind.RETRY, data=ERROR, duration=1.0)
    JournalEntryFactory(work_item=made, result=HOLDS, error=HOLDS)
    ArtifactFactory(work_item=made, metadata=HOLDS)
    WaitFactory(work_item=made, base_version=1, data=HOLDS, default=HOLDS, resolution=HOLDS)
    return made


def told(who: Api, item: WorkItem) -> Iterator[tuple[str, str]]:
    """Yield what each route tells of the item, by the route."""
    of = f"/work-items/{item.pk}"
    parts = (
        "",
        "/events",
        "/snapshots",
        "/journal",
        "/attempts",
        "/artifacts",
        "/waits",
        "/why",
        "/explain",
        "/export",
        "/trace",
    )
    letters = ("/dead-letters", "/dead-letters/groups")
    for path in (*(f"{of}{part}" for part in parts), f"{of}/result", f"{of}/value/payload", *letters):
        answer = who.get(path)
        assert answer.status_code == 200, (path, answer.content)
        yield path.removeprefix(of), answer.content.decode()
    yield "prioritise", who.post(f"{of}/acknowledge", {"reason": "seen"}).content.decode()


def test_secrets_are_masked_on_every_route_that_tells_contents(api: Api, item: WorkItem) -> None:
    for path, text in told(api, item):
        assert SECRET not in text, path
        assert "[redacted]" in text, path
        assert "herring" in text, path


def test_the_products_hook_has_the_last_word(api: Api, item: WorkItem, settings: Any) -> None:
    settings.ROOST_REDACT = f"{HOOKS}.shout"
    for path, text in told(api, item):
        assert SECRET not in text, path
        assert "herring" not in text, path
        assert "HERRING" in text, path


@pytest.mark.parametrize("hook", ["fail", "no_json", "missing"])
def test_a_hook_that_fails_tells_nothing(hook: str, api: Api, item: WorkItem, settings: Any) -> None:
    settings.ROOST_REDACT = f"{HOOKS}.{hook}"
    for path, text in told(api, item):
        assert SECRET not in text, path
        assert "herring" not in text, path
    assert api.get(f"/work-items/{item.pk}").json()["payload"] == HOOK_FAILED


def test_a_product_may_leave_the_masks_to_its_callers(api: Api, caller: Caller, item: WorkItem, settings: Any) -> None:
    settings.ROOST_API_REDACT = False
    assert api.get(f"/work-items/{item.pk}/value/payload").json()["value"] == HOLDS
    assert caller("read").get(f"/work-items/{item.pk}").json()["payload"] is None


def test_the_schema_of_an_answer_is_told_as_it_is(api: Api) -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string"}}}
    wait = WaitFactory(kind="input", schema=schema)
    [found] = api.get(f"/work-items/{wait.work_item_id}/waits").json()["waits"]
    assert found["answer_schema"] == schema


@pytest.mark.parametrize("rule", ["schedules", "triggers"])
def test_what_a_rule_gives_its_items_is_masked_for_who_does_not_edit_it(rule: str, caller: Caller) -> None:
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    set_trigger("after", engine="refund", target="counter")
    Schedule.objects.update(payload=HOLDS)
    Trigger.objects.update(payload=HOLDS)
    found = {
        name: caller(*scopes).get(f"/{rule}").json()[rule][0]["payload"]
        for name, scopes in {
            "reader": ["read"],
            "looker": ["read", "payload"],
            "changer": ["read", "configure"],
            "editor": ["read", "payload", "configure"],
        }.items()
    }
    assert found["reader"] is found["changer"] is None
    assert found["editor"] == HOLDS, "it is sent back as it came"
    assert found["looker"] == {
        **HOLDS,
        "api_key": "[redacted]",
        "nested": [{"dbPassword": "[redacted]"}],
        "note": "Bearer [redacted]",
    }


def test_a_trigger_that_is_set_tells_its_payload_to_readers_alone(caller: Caller) -> None:
    body = {"engine": "refund", "target": "counter", "payload": {"count_to": 1}}
    assert caller("configure").call("PUT", "/triggers/after", body).json()["payload"] is None
    assert caller("configure", "payload").call("PUT", "/triggers/after", body).json()["payload"] == {"count_to": 1}


def test_why_a_schedule_failed_is_for_readers(caller: Caller) -> None:
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    Schedule.objects.update(error=f"herring {SECRET}")
    assert "herring" in caller("read", "payload").get("/schedules").content.decode()
    assert "herring" not in caller("read").get("/schedules").content.decode()
