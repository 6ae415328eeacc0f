"""What may be enqueued, and the one clear error for everything else. None of this touches a database."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from runtime import jsondata
from runtime.exceptions import EngineLoadError, InvalidInput, NotJSON, UnknownEngine
from runtime.operations.spec import build, terms
from tests.runtime.operations.sample import Picky

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
deep: list[Any] = []
for _ in range(200):
    deep = [deep]

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "payload NaN": ({"payload": {"a": float("nan")}}, "payload.a"),
    "payload infinity": ({"payload": [float("-inf")]}, "payload"),
    "payload NUL": ({"payload": {"a": "b\x00c"}}, "payload"),
    "payload NUL in a key": ({"payload": {"b\x00c": 1}}, "payload"),
    "payload lone surrogate": ({"payload": "\ud800"}, "payload"),
    "payload key that is no string": ({"payload": {1: "a"}}, "payload"),
    "payload bytes": ({"payload": b"abc"}, "payload"),
    "payload datetime": ({"payload": {"at": NOW}}, "payload.at"),
    "payload too deep": ({"payload": deep}, "payload"),
    "payload endless number": ({"payload": 10**5000}, "payload"),
    "namespace empty": ({"namespace": ""}, "namespace"),
    "namespace too long": ({"namespace": "n" * 101}, "namespace"),
    "namespace with a slash": ({"namespace": "a/b"}, "namespace"),
    "namespace with a line end": ({"namespace": "a\n"}, "namespace"),
    "namespace number": ({"namespace": 5}, "namespace"),
    "key empty": ({"idempotency_key": ""}, "idempotency_key"),
    "key blank": ({"idempotency_key": "  "}, "idempotency_key"),
    "key too long": ({"idempotency_key": "k" * 201}, "idempotency_key"),
    "key with NUL": ({"idempotency_key": "k\x00"}, "idempotency_key"),
    "key with surrogate": ({"idempotency_key": "k\udfff"}, "idempotency_key"),
    "key number": ({"idempotency_key": 7}, "idempotency_key"),
    "fair_key too long": ({"fair_key": "f" * 201}, "fair_key"),
    "fair_key with a tab": ({"fair_key": "a\tb"}, "fair_key"),
    "fair_key with blanks around": ({"fair_key": " a"}, "fair_key"),
    "pool with a space": ({"pool": "a b"}, "pool"),
    "relation too long": ({"relation": "r" * 51}, "relation"),
    "delay negative": ({"delay": -1}, "delay"),
    "delay infinite": ({"delay": float("inf")}, "delay"),
    "delay NaN": ({"delay": float("nan")}, "delay"),
    "delay endless": ({"delay": 10**400}, "delay"),
    "delay text": ({"delay": "5"}, "delay"),
    "delay truth": ({"delay": True}, "delay"),
    "delay falsehood": ({"delay": False}, "delay"),
    "delay None": ({"delay": None}, "delay"),
    "run_at naive": ({"run_at": dt.datetime(2026, 1, 1)}, "run_at"),  # noqa: DTZ001 - what is to be refused
    "run_at text": ({"run_at": "2026-01-01"}, "run_at"),
    "run_at day": ({"run_at": NOW.date()}, "run_at"),
    "run_at with delay": ({"run_at": NOW, "delay": 5}, "run_at"),
    "run_at before year 1": ({"run_at": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))}, "run_at"),
    "deadline naive": ({"deadline": dt.datetime(2027, 1, 1)}, "deadline"),  # noqa: DTZ001 - what is to be refused
    "deadline number": ({"deadline": 60}, "deadline"),
    "deadline past": ({"deadline": NOW - dt.timedelta(seconds=1)}, "deadline"),
    "deadline now": ({"deadline": NOW}, "deadline"),
    "deadline span backwards": ({"deadline": dt.timedelta(seconds=-1)}, "deadline"),
    "deadline span for ever": ({"deadline": dt.timedelta.max}, "deadline"),
    "deadline before the delay ends": ({"deadline": dt.timedelta(minutes=1), "delay": 61}, "deadline"),
    "deadline before run_at": (
        {"deadline": NOW + dt.timedelta(minutes=1), "run_at": NOW + dt.timedelta(hours=1)},
        "deadline",
    ),
    "priority high": ({"priority": 32768}, "priority"),
    "priority low": ({"priority": -32769}, "priority"),
    "priority fraction": ({"priority": 1.5}, "priority"),
    "priority truth": ({"priority": True}, "priority"),
    "max_attempts zero": ({"max_attempts": 0}, "max_attempts"),
    "max_attempts large": ({"max_attempts": 2**31}, "max_attempts"),
    "max_steps zero": ({"max_steps": 0}, "max_steps"),
    "pause_after zero": ({"pause_after": 0}, "pause_after"),
    "pause_after no number": ({"pause_after": True}, "pause_after"),
    "pause_after too large": ({"pause_after": 2**63}, "pause_after"),
    "step_timeout zero": ({"step_timeout": 0}, "step_timeout"),
    "step_timeout negative": ({"step_timeout": -3}, "step_timeout"),
    "item_timeout infinite": ({"item_timeout": float("inf")}, "item_timeout"),
    "item_id no UUID": ({"item_id": "123"}, "item_id"),
    "parent no UUID": ({"parent": 7}, "parent"),
    "resources one string": ({"resources": "domain:x"}, "resources"),
    "resources mapping": ({"resources": {"key": "a"}}, "resources"),
    "resources number": ({"resources": 3}, "resources"),
    "resources None": ({"resources": None}, "resources"),
    "resources of numbers": ({"resources": ["a", 3]}, "resources[1]"),
    "resources empty key": ({"resources": [""]}, "resources[0].key"),
    "resources long key": ({"resources": ["r" * 201]}, "resources[0].key"),
    "resources NUL": ({"resources": ["a\x00"]}, "resources[0].key"),
    "resources twice the same": ({"resources": ["a", {"key": "a", "mode": "shared"}]}, "resources[1]"),
    "resources too many": ({"resources": [f"r{n}" for n in range(33)]}, "resources"),
    "resources without key": ({"resources": [{"mode": "shared"}]}, "resources[0]"),
    "resources unknown option": ({"resources": [{"key": "a", "unit": 2}]}, "resources[0]"),
    "resources unknown mode": ({"resources": [{"key": "a", "mode": "greedy"}]}, "resources[0].mode"),
    "resources unhashable mode": ({"resources": [{"key": "a", "mode": []}]}, "resources[0].mode"),
    "resources unknown scope": ({"resources": [{"key": "a", "scope": "day"}]}, "resources[0].scope"),
    "resources zero units": ({"resources": [{"key": "a", "mode": "counted", "units": 0}]}, "resources[0].units"),
    "resources units of exclusive": ({"resources": [{"key": "a", "units": 2}]}, "resources[0].units"),
}


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_with_one_error_that_names_the_field(case: str) -> None:
    options, field = WRONG[case]
    with pytest.raises(InvalidInput) as caught:
        build("echo", **{"payload": None, "now": NOW, **options})
    assert caught.value.field == field
    assert field.split("[")[0] in str(caught.value)


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("engine", ["nobody", "", "echo\x00", None, 5, ["echo"]])
def test_an_engine_that_is_not_registered_is_refused(engine: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(engine)
    assert caught.value.field == "engine"


@pytest.mark.scenario("L15")
def test_the_error_for_an_unknown_engine_names_those_available() -> None:
    with pytest.raises(UnknownEngine, match=r"Available: broken, .*echo, .*picky"):
        build("nobody")


def test_a_registered_engine_that_is_none_is_told_apart_from_an_unknown_one() -> None:
    with pytest.raises(EngineLoadError, match="must be an Engine"):
        build("broken")


@pytest.mark.scenario("L15")
def test_a_payload_over_the_limit_is_refused_with_its_size(settings: Any) -> None:
    settings.ROOST_MAX_PAYLOAD_BYTES = 100
    assert build("echo", "é" * 49).payload == '"' + "é" * 49 + '"'
    with pytest.raises(NotJSON, match="payload is 102 bytes of JSON; at most 100"):
        build("echo", "é" * 50)


@pytest.mark.scenario("L15")
def test_the_engine_has_a_say_about_the_payload() -> None:
    with pytest.raises(InvalidInput, match="Say whom to greet") as caught:
        build("picky", {"nam": "x"})
    assert caught.value.field == "payload"


def test_plain_input_gives_an_item_with_the_settings_limits(settings: Any) -> None:
    settings.ROOST_MAX_ATTEMPTS, settings.ROOST_MAX_STEPS = 4, 1000
    settings.ROOST_STEP_TIMEOUT, settings.ROOST_ITEM_TIMEOUT = 20, 3600
    item = build("echo", {"b": [1, 2.5, None, True], "ä": "ö"})
    assert jsondata.loads(item.payload) == {"b": [1, 2.5, None, True], "ä": "ö"}
    assert (item.max_attempts, item.max_steps, item.step_timeout, item.item_timeout) == (4, 1000, 20, 3600)
    assert (item.namespace, item.pool, item.priority, item.delay, item.run_at) == ("default", "default", 0, 0.0, None)
    assert (item.resources, item.limited, item.config, item.idempotency_key) == ("[]", False, None, None)
    assert item.id.version == 7


def test_the_engines_terms_stand_before_the_settings_and_the_callers_before_both() -> None:
    theirs = build("picky", {"name": "x"})
    assert (theirs.engine_version, theirs.max_attempts, theirs.step_timeout) == ("2.1", 9, 7.5)
    mine = build("picky", {"name": "x"}, max_attempts=1, max_steps=3, step_timeout=dt.timedelta(minutes=1))
    assert (mine.max_attempts, mine.max_steps, mine.step_timeout) == (1, 3, 60.0)


def test_the_engines_configuration_is_frozen_when_the_item_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = build("picky", {"name": "x"})
    monkeypatch.setattr(Picky, "settings", {"model": "large"})
    after = build("picky", {"name": "x"})
    assert (before.config, after.config) == ('{"model":"small"}', '{"model":"large"}')


def test_resources_are_written_out_in_the_order_given() -> None:
    item = build("echo", resources=["domain:x", {"key": "gpu", "mode": "counted", "units": 2, "scope": "item"}])
    assert item.limited
    assert jsondata.loads(item.resources) == [
        {"key": "domain:x", "mode": "exclusive", "units": 1, "scope": "step"},
        {"key": "gpu", "mode": "counted", "units": 2, "scope": "item"},
    ]


@pytest.mark.scenario("L30")
def test_due_times_and_deadlines_are_kept_in_utc() -> None:
    berlin = dt.timezone(dt.timedelta(hours=2))
    item = build(
        "echo",
        run_at=dt.datetime(2026, 5, 4, 15, tzinfo=berlin),
        deadline=dt.timedelta(hours=1),
        now=NOW,
    )
    assert item.run_at == dt.datetime(2026, 5, 4, 13, tzinfo=dt.UTC)
    assert item.deadline_at == dt.datetime(2026, 5, 4, 13, tzinfo=dt.UTC)
    assert build("echo", delay=dt.timedelta(minutes=2)).delay == 120.0


def test_one_set_of_terms_serves_many_items() -> None:
    shared = terms("echo")
    first, second = build(shared, 1), build(shared, 2)
    assert first.id != second.id
    assert (first.engine, second.engine) == ("echo", "echo")


def test_a_given_id_is_kept() -> None:
    given = uuid.uuid4()
    assert build("echo", item_id=str(given)).id == given
