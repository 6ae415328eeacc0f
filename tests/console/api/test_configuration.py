"""What operators configure, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.models import Limit, Schedule, Trigger, WorkItem
from runtime.operations.webhooks import set_webhook
from tests.console.api.conftest import Api, Caller, problem
from tests.factories import ResourceClaimFactory, WorkerFactory, WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def test_limits_are_set_listed_and_removed(api: Api) -> None:
    assert api.call("PUT", "/limits/gentle", {"engine": "counter", "concurrency": 2}).status_code == 200
    assert api.call("PUT", "/limits/gentle", {"note": "x"}).json()["concurrency"] == 2
    [found] = api.get("/limits").json()["limits"]
    assert (found["name"], found["running"]) == ("gentle", 0)
    problem(api.call("PUT", "/limits/none", {}), 422)
    assert api.call("DELETE", "/limits/gentle").status_code == 204
    problem(api.call("DELETE", "/limits/gentle"), 404)
    assert not Limit.objects.exists()


def test_schedules_are_set_paused_run_and_removed(api: Api) -> None:
    of = "/schedules/ours/nightly"
    made = api.call("PUT", of, {"engine": "counter", "payload": {"count_to": 1}, "cron": "30 2 * * *"})
    assert made.status_code == 200, made.content
    assert len(made.json()["next_runs"]) == 5
    assert api.post(f"{of}/pause").json()["trouble"] == "paused"
    problem(api.post(f"{of}/pause"), 409)
    assert api.post(f"{of}/resume").json()["enabled"]
    assert api.post(f"{of}/run").status_code == 201
    assert WorkItem.objects.get().namespace == "ours"
    assert [one["name"] for one in api.get("/schedules?namespace=ours").json()["schedules"]] == ["nightly"]
    assert api.get("/schedules?namespace=other").json()["schedules"] == []
    assert api.get(of).json()["kind"] == "cron"
    told = problem(api.call("PUT", of, {"cron": "every day"}), 422)
    assert told["errors"][0]["field"] == "body.cron"
    assert api.call("DELETE", of).status_code == 204
    problem(api.get(of), 404)
    assert not Schedule.objects.exists()


def test_triggers_are_set_listed_and_removed(api: Api) -> None:
    body = {"engine": "refund", "target": "counter", "payload": {"count_to": 1}}
    assert api.call("PUT", "/triggers/after", body).status_code == 200
    assert [one["source"] for one in api.get("/triggers").json()["triggers"]] == ["row"]
    assert api.call("DELETE", "/triggers/after").status_code == 204
    assert not Trigger.objects.exists()


def test_webhooks_are_read_turned_rotated_and_removed(api: Api) -> None:
    secret = set_webhook("pushes", namespace="ours", engine="counter", verifier="github").secret
    of = "/webhooks/ours/pushes"
    for answer in (api.get("/webhooks"), api.get(of), api.post(f"{of}/disable")):
        assert answer.status_code == 200, answer.content
        assert secret not in answer.content.decode()
    problem(api.post(f"{of}/disable"), 409)
    assert api.post(f"{of}/enable").json()["enabled"]
    rotated = api.post(f"{of}/rotate").json()["secret"]
    assert rotated not in ("", secret)
    assert api.call("DELETE", of).status_code == 204
    problem(api.get(of), 404)
    assert api.get("/webhook-targets").json() == {"targets": []}


def test_engines_tell_what_they_take(api: Api, settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "broken": "nowhere.Nothing"}
    found = {one["name"]: one for one in api.get("/engines").json()["engines"]}
    assert found["counter"]["payload_schema"]["required"] == ["count_to"]
    assert not found["broken"]["loads"]
    assert api.get("/engines/counter").json() == found["counter"]
    problem(api.get("/engines/unheard"), 404)
    answer = api.post("/work-items", {"engine": "broken"})
    assert "nowhere" not in str(problem(answer, 500, "engine_load_error"))


def test_the_fleet_is_read(api: Api, caller: Caller) -> None:
    worker = WorkerFactory()
    [found] = api.get("/workers").json()["workers"]
    assert (found["host"], found["alive"], found["running"]) == (worker.host, True, 0)
    claim = ResourceClaimFactory()
    [resource] = api.get("/resources").json()["resources"]
    assert resource["holders"][0]["item"] == str(claim.work_item_id)
    assert api.get("/resources?namespace=other").json()["resources"] == []
    assert api.call("PUT", "/resources/default/gpu", {"capacity": 4}).json()["capacity"] == 4
    problem(caller(namespaces=("ours",)).get("/workers"), 403)


def test_items_are_counted(api: Api, caller: Caller) -> None:
    WorkItemFactory(namespace="ours")
    WorkItemFactory(failed=True)

    def counts(who: Api, query: str = "") -> dict[str, int]:
        return {one["state"]: one["count"] for one in who.get(f"/stats{query}").json()["states"]}

    assert (counts(api)["queued"], counts(api)["failed"]) == (1, 1)
    assert counts(api, "?namespace=ours")["failed"] == counts(caller(namespaces=("ours",)))["failed"] == 0
