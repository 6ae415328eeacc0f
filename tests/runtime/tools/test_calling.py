"""A tool is called once, when its arguments are right and whoever has a say agrees; what comes of it is a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.choices import Reason, State
from runtime.models import JournalEntry, Wait, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.respond import respond
from runtime.testing import advance, drain
from runtime.tools.result import ToolResult
from tests.runtime.tools import shop

pytestmark = pytest.mark.django_db

LANES = ["calling", "atomic"]


@pytest.fixture(autouse=True)
def made(settings: Any) -> Iterator[list[tuple[str, Any]]]:
    """Register the engines and return the calls that were made."""
    settings.ROOST_ENGINES = {
        name.lower(): f"tests.runtime.tools.shop.{name}" for name in ("Calling", "Together", "Atomic")
    }
    shop.made.clear()
    yield shop.made
    shop.made.clear()


def look(item: WorkItem) -> WorkItem:
    return WorkItem.objects.get(pk=item.pk)


def run(*calls: list[Any], engine: str = "calling", **more: Any) -> WorkItem:
    """Run an item that makes these calls, until nothing is due."""
    item = enqueue(engine, {"calls": list(calls), **more.pop("payload", {})}, **more)
    drain(skip_delays=True)
    return look(item)


def results(item: WorkItem) -> list[dict[str, Any]]:
    assert item.state == State.DONE, item.last_error
    found: list[dict[str, Any]] = item.result
    return found


@pytest.mark.parametrize("engine", LANES)
def test_a_tool_is_called_with_checked_arguments_and_its_value_is_the_payload(engine: str, made: Any) -> None:
    assert results(run(["look_up", {"name": "ann"}], engine=engine)) == [{"success": True, "payload": {"name": "ann"}}]
    assert made == [("look_up", "ann")]
    entry = JournalEntry.objects.get()
    assert (entry.key, entry.name, entry.state) == ("tool:look_up:1", "tool:look_up", "succeeded")


def test_a_tool_that_takes_the_idempotency_key_gets_the_journals(made: Any) -> None:
    item = run(["refund", {"order": 7, "amount": 20}])
    assert made[0][1] == {"order": 7, "amount": 20, "key": f"{item.pk}:1:tool:refund:1"}


@pytest.mark.scenario("S1")
@pytest.mark.parametrize("engine", ["calling"])
def test_a_step_that_fails_after_its_calls_does_not_make_them_again(engine: str, made: Any) -> None:
    calls = [["look_up", {"name": "ann"}], ["look_up", {"name": "bob"}], ["refund", {"order": 7, "amount": 20}]]
    item = run(*calls, engine=engine, payload={"fails": True})
    assert [result["success"] for result in results(item)] == [True] * 3
    assert [name for name, _ in made] == ["look_up", "look_up", "refund"]


def test_a_tool_may_return_a_result_itself(made: Any) -> None:
    [result] = results(run(["weather", {"city": "here"}]))
    assert (result["payload"], result["suggestions"]) == ("rain", ["Take an umbrella."])


@pytest.mark.parametrize("engine", LANES)
def test_an_unknown_tool_is_a_result_that_names_those_near(engine: str, made: Any) -> None:
    [result] = results(run(["lookup", {"name": "ann"}], engine=engine))
    assert (result["success"], result["category"], result["code"]) == (False, "validation", "unknown_tool")
    assert "There are: dump, flaky" in result["message"]
    assert result["suggestions"] == ["Call 'look_up'."]
    assert made == []


@pytest.mark.scenario("S3", "L15")
@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ({}, "invalid_arguments", "name"),
        ({"name": 7}, "invalid_arguments", "name"),
        ({"name": "ann", "age": 7}, "invalid_arguments", "age"),
        ([1], "invalid_arguments", "must be an object"),
        (None, "invalid_arguments", "must be an object"),
        ({"name": "x" * 300_000}, "too_large", "bytes of JSON"),
    ],
)
def test_wrong_arguments_are_a_result_that_says_what_is_wrong(arguments: Any, code: str, part: str, made: Any) -> None:
    [result] = results(run(["look_up", arguments]))
    assert (result["success"], result["category"], result["code"]) == (False, "validation", code)
    assert part in result["message"]
    assert result["suggestions"]
    assert made == []
    assert not JournalEntry.objects.exists()


@pytest.mark.scenario("S2", "S3")
@pytest.mark.parametrize(
    ("name", "category", "code"), [("nobody", "validation", "no_customer"), ("banned", "business", "declined")]
)
def test_a_failure_for_good_is_a_result_and_is_not_tried_again(name: str, category: str, code: str, made: Any) -> None:
    item = run(["look_up", {"name": name}], payload={"fails": True})
    [result] = results(item)
    assert (result["success"], result["category"], result["code"], result["retryable"]) == (
        False,
        category,
        code,
        False,
    )
    assert result["suggestions"] == (["Ask for one."] if name == "nobody" else [])
    assert len(made) == 1


@pytest.mark.scenario("S3")
def test_what_passes_by_itself_is_tried_again_within_the_call(made: Any) -> None:
    [result] = results(run(["weather", {"city": "once"}]))
    assert result["success"]
    assert len(made) == 2


@pytest.mark.scenario("S3")
def test_what_does_not_pass_is_left_to_the_steps_own_policy(made: Any) -> None:
    item = run(["weather", {"city": "away"}])
    assert (item.state, item.reason) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert item.last_error["category"] == "transient"
    assert len(made) == 2 * 3


def test_with_sticky_failures_it_is_a_result_too(made: Any) -> None:
    [result] = results(run(["flaky", {}]))
    assert (result["category"], result["retryable"]) == ("transient", True)
    assert len(made) == 2


def test_a_result_that_is_too_large_says_so_and_the_call_is_not_made_again(made: Any, settings: Any) -> None:
    settings.ROOST_MAX_TOOL_BYTES = 1000
    [result] = results(run(["dump", {"size": 2000}], payload={"fails": True}))
    assert (result["success"], result["code"]) == (False, "too_large")
    assert "at most 1000" in result["message"]
    assert made == [("dump", 2000)]


@pytest.mark.scenario("S4")
def test_a_result_that_is_no_json_is_a_permanent_error_that_names_the_type(made: Any) -> None:
    item = run(["odd", {}])
    assert (item.state, item.reason) == (State.FAILED, Reason.PERMANENT_ERROR)
    assert item.last_error["type"] == "UnstorableOutcome"
    assert "set" in item.last_error["message"]
    assert made == [("odd", None)]


def test_calls_made_at_once_are_numbered_in_the_order_they_were_asked_for(made: Any) -> None:
    found = results(run(*(["mail", {"to": name}] for name in "abc"), engine="together"))
    assert [result["payload"] for result in found] == ["a", "b", "c"]
    assert sorted(JournalEntry.objects.values_list("key", flat=True)) == [f"tool:mail:{n}" for n in (1, 2, 3)]


@pytest.mark.scenario("S12")
@pytest.mark.parametrize("engine", LANES)
def test_a_quota_of_the_run_is_counted_exactly_and_spares_what_is_recorded(engine: str, made: Any) -> None:
    calls = [["search", {"query": text}] for text in "abcd"]
    found = results(run(*calls, engine=engine, payload={"fails": True}))
    assert [result["success"] for result in found] == [True, True, False, False]
    last = found[-1]
    assert (last["category"], last["code"], last["retryable"]) == ("business", "quota_exceeded", False)
    assert last["metadata"]["most"] == 2
    assert [query for _, query in made] == ["a", "b"]


@pytest.mark.scenario("S12", "L27")
def test_a_quota_of_a_window_is_shared_by_a_namespace_and_passes_with_time(made: Any) -> None:
    first = run(*(["mail", {"to": name}] for name in "ab"))
    assert all(result["success"] for result in results(first))
    second = results(run(*(["mail", {"to": name}] for name in "cd")))
    assert [result["success"] for result in second] == [True, False]
    assert second[1]["retryable"]
    assert 0 < second[1]["metadata"]["retry_after"] <= 60
    elsewhere = results(run(["mail", {"to": "e"}], namespace="other"))
    assert elsewhere[0]["success"]
    with advance(61):
        assert results(run(["mail", {"to": "f"}]))[0]["success"]
    assert [to for _, to in made] == ["a", "b", "c", "e", "f"]


def refund(amount: float, engine: str = "calling") -> WorkItem:
    return run(["refund", {"order": 7, "amount": amount}], engine=engine)


def test_a_call_that_needs_no_approval_asks_nobody(made: Any) -> None:
    assert refund(100).state == State.DONE
    assert not Wait.objects.exists()


@pytest.mark.scenario("S5")
def test_a_call_that_needs_approval_waits_for_a_person_and_is_made_once(made: Any) -> None:
    from runtime.operations.approve import approve

    item = refund(500)
    assert (item.state, item.reason, made) == (State.WAITING, Reason.APPROVAL, [])
    wait = Wait.objects.get()
    assert wait.data == {"tool": "refund", "arguments": {"order": 7, "amount": 500}}
    approve(item.pk, actor="ann")
    drain(skip_delays=True)
    assert results(look(item)) == [{"success": True, "payload": {"refunded": 500}}]
    assert len(made) == 1


@pytest.mark.scenario("S5")
@pytest.mark.parametrize(
    ("name", "arguments", "asked"),
    [
        ("refund", {"order": 7, "amount": "500"}, True),
        ("refund", {"order": "7", "amount": "20"}, False),
        ("wipe", {"force": True}, True),
        ("wipe", {"force": "yes"}, True),
        ("wipe", {"force": 1}, True),
        ("wipe", {"force": "off"}, False),
        ("wipe", {}, False),
    ],
)
def test_what_the_tool_would_get_decides_whether_a_person_is_asked(
    name: str, arguments: Any, asked: bool, made: Any
) -> None:
    item = run([name, arguments])
    assert item.state == (State.WAITING if asked else State.DONE), item.last_error
    assert len(made) == (not asked)


@pytest.mark.scenario("S5")
def test_a_rejected_call_is_a_result_that_names_the_person_and_the_reason(made: Any) -> None:
    from runtime.operations.reject import reject

    item = refund(500)
    reject(item.pk, actor="ann", reason="too much")
    drain(skip_delays=True)
    [result] = results(look(item))
    assert (result["category"], result["code"]) == ("permission", "rejected")
    assert "ann" in result["message"]
    assert "too much" in result["message"]
    assert made == []


@pytest.mark.scenario("S5")
def test_a_call_that_nobody_approves_in_time_is_rejected(made: Any) -> None:
    item = refund(500)
    with advance(3601):
        drain(skip_delays=True)
        [result] = results(look(item))
    assert (result["category"], result["code"]) == ("permission", "not_approved")
    assert made == []


def test_an_approval_is_for_these_arguments_and_no_others(made: Any) -> None:
    from runtime.operations.approve import approve

    item = refund(500)
    approve(item.pk, actor="ann")
    WorkItem.objects.filter(pk=item.pk).update(payload={"calls": [["refund", {"order": 7, "amount": 9000}]]})
    drain(skip_delays=True)
    assert look(item).state == State.WAITING
    assert made == []


@pytest.mark.scenario("L36")
@pytest.mark.parametrize(
    ("said", "success", "payload"),
    [
        ({"id": 7}, True, {"id": 7}),
        (None, True, None),
        ({"success": True, "id": 7}, True, {"success": True, "id": 7}),
        (ToolResult.failure("business", "closed", "The account is closed.").as_json(), False, None),
    ],
    ids=["a value", "nothing", "a value of its own", "a result"],
)
def test_what_a_person_says_that_a_call_came_to_is_its_result(
    said: Any, success: bool, payload: Any, made: Any
) -> None:
    item = run(["transfer", {"to": "ann"}])
    assert (item.state, item.reason) == (State.WAITING, Reason.INPUT)
    respond(item.pk, value={"happened": True, "result": said})
    drain(skip_delays=True)
    [result] = results(look(item))
    assert (result["success"], result["payload"]) == (success, payload)
    assert made == [("transfer", "ann")]
