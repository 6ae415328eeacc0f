"""What operators configure, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.models import Limit, Schedule, Trigger, Webhook, WebhookTarget, WorkItem
from runtime.operations.webhooks import set_webhook
from runtime.queries import targets, webhooks
from tests.console.api.conftest import Api, Caller, problem, reported
from tests.factories import ResourceClaimFactory, WorkerFactory, WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
SECRET = "herring" * 4


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


def test_a_worker_drains_and_goes_on_and_each_request_is_done_once(api: Api) -> None:
    worker = WorkerFactory()
    of = f"/workers/{worker.pk}"
    told = api.post(f"{of}/drain", idempotency_key="a").json()
    assert (told["desired_state"], told["state"], told["alive"], told["running"]) == ("draining", "online", True, 0)
    assert problem(api.post(f"{of}/drain"), 409)["state"] == "draining"
    assert api.post(f"{of}/resume").json()["desired_state"] == "online"
    assert api.post(f"{of}/drain", idempotency_key="a").json()["desired_state"] == "online"
    problem(api.post("/workers/00000000-0000-7000-8000-000000000000/drain"), 404)


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
    assert api.get("/webhook-targets").json() == {"targets": [], "next": None}


def test_webhooks_are_set_and_their_secret_is_shown_once(api: Api) -> None:
    of, said = "/webhooks/ours/pushes", {"engine": "counter", "verifier": "github", "payload": {"count_to": 1}}
    made = api.call("PUT", of, said)
    assert made.status_code == 200, made.content
    kept = Webhook.objects.get(namespace="ours", name="pushes")
    assert made.json()["secret"] == kept.secret != ""
    assert made.json()["path"] == "hooks/ours/pushes"
    again = api.call("PUT", of, {"note": "of the forge"})
    assert (again.status_code, again.json()["secret"]) == (200, "")
    given = api.call("PUT", of, {"secret": SECRET})
    assert SECRET not in given.content.decode()
    kept.refresh_from_db()
    assert (kept.secret, kept.note, kept.verifier, kept.changed_by) == (
        *(SECRET, "of the forge", "github"),
        "token:caller-0",
    )


def test_targets_are_set_and_removed(api: Api) -> None:
    of, url = "/webhook-targets/ops", "https://ops.example/roost/" + SECRET
    made = api.call("PUT", of, {"url": url, "events": ["failed"]})
    assert made.status_code == 200, made.content
    kept = WebhookTarget.objects.get(name="ops")
    assert (kept.url, kept.secret) == (url, made.json()["secret"])
    assert SECRET not in made.content.decode()
    again = api.call("PUT", of, {"events": ["failed", "waiting"], "secret": SECRET})
    assert (again.json()["events"], again.json()["secret"]) == (["failed", "waiting"], "")
    assert WebhookTarget.objects.get().secret == SECRET
    assert api.call("DELETE", of).status_code == 204
    problem(api.call("DELETE", of), 404)
    assert not WebhookTarget.objects.exists()


@pytest.mark.parametrize(
    ("of", "said", "field"),
    [
        ("/webhooks/ours/x", {"engine": "counter", "verifier": "github", "secret": "env:PATH"}, "body.secret"),
        ("/webhooks/ours/x", {"engine": "counter", "verifier": "github", "secret": "short"}, "body.secret"),
        ("/webhooks/ours/x", {"engine": "counter", "verifier": "none"}, "body.verifier"),
        ("/webhook-targets/x", {"url": "https://x.example/", "events": ["done"], "secret": "env:PATH"}, "body.secret"),
        ("/webhook-targets/x", {"url": "env:PATH", "events": ["done"]}, "body.url"),
        ("/webhook-targets/x", {"url": "https://x.example/", "events": ["ended"]}, "body.events"),
    ],
)
def test_what_calls_in_and_out_is_checked(of: str, said: Any, field: str, api: Api) -> None:
    told = problem(api.call("PUT", of, said), 422)
    assert [error["field"] for error in told["errors"]] == [field]
    assert not Webhook.objects.exists()
    assert not WebhookTarget.objects.exists()


def test_a_secret_that_is_given_is_in_no_report(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "views", lambda: 1 / 0)
    monkeypatch.setattr(targets, "views", lambda: 1 / 0)
    said = {"engine": "counter", "verifier": "github", "secret": SECRET}
    with reported() as reports:
        problem(api.call("PUT", "/webhooks/ours/x", said), 500, "internal")
        url = f"https://x.example/{SECRET}"
        problem(api.call("PUT", "/webhook-targets/x", {"url": url, "events": ["done"], "secret": SECRET}), 500)
    told = "".join(reports)
    assert told.count("ZeroDivisionError") >= 2
    assert SECRET not in told


def test_making_and_changing_are_permissions_of_their_own(caller: Caller) -> None:
    said = {"engine": "counter", "verifier": "github"}
    changes = caller("change_webhook", "change_webhooktarget")
    problem(changes.call("PUT", "/webhooks/default/x", said), 403, "forbidden")
    problem(changes.call("PUT", "/webhook-targets/x", {"url": "https://x.example/", "events": ["done"]}), 403)
    set_webhook("x", engine="counter", verifier="github")
    assert changes.call("PUT", "/webhooks/default/x", {"note": "y"}).status_code == 200


def test_engines_tell_what_they_take(api: Api, settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "broken": "nowhere.Nothing"}
    found = {one["name"]: one for one in api.get("/engines").json()["engines"]}
    assert found["counter"]["payload_schema"]["required"] == ["count_to"]
    assert found["watchlist"]["payload_schema"]["required"] == ["url"]
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


def test_the_log_says_who_changed_what_and_never_to_what(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    api, secret = caller(), "whsec-0123456789abcdef-swordfish"
    body = {"engine": "counter", "verifier": "github", "payload": {"count_to": 1}, "secret": secret}
    with caplog.at_level("INFO", "roost.api"):
        api.call("PUT", "/limits/slow", {"concurrency": 2})
        api.call("PUT", "/webhooks/default/gh", body)
        api.call("DELETE", "/limits/slow")
        api.call("DELETE", "/limits/slow")
        api.post("/work-items", {"engine": "counter", "payload": {"count_to": 1}})
        api.get("/limits")
    told = [record.getMessage() for record in caplog.records if record.name == "roost.api"]
    assert told == [
        "setLimit 'slow' by token:caller-0",
        "setWebhook 'default' 'gh' by token:caller-0",
        "removeLimit 'slow' by token:caller-0",
    ]
    assert secret not in caplog.text
