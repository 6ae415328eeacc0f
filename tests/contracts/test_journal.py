"""What a recorded call promises, the same on every journal: the database's, the one in memory, and the file."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.exceptions import (
    CallFailed,
    CallInDoubt,
    InvalidInput,
    JournalMismatch,
    PermanentError,
    QuotaExceeded,
    RetryableError,
    UnstorableOutcome,
)
from runtime.journal import CallPolicy, Quota
from runtime.journal.entries import Found, Place, Write
from runtime.journal.lines import JsonLinesJournal
from runtime.journal.memory import MemoryJournal
from runtime.journal.outside import Journal
from runtime.models import JournalEntry
from runtime.store import get_store
from runtime.store.values import Claimed
from runtime.testing import advance
from tests.contracts.builders import Hand, put

pytestmark = pytest.mark.django_db
QUICK = CallPolicy(base=0.0, cap=1.0, jitter=0.0)


class InStore(MemoryJournal):
    """The database's journal behind the same door: writes for one item that a worker holds."""

    def __init__(self, claimed: Claimed) -> None:
        super().__init__()
        self.claimed = claimed

    def write(self, write: Write) -> Found:
        [found] = get_store().journal([write])
        return found

    def place(self, place: Place) -> Place:
        claimed = self.claimed
        return Place(item=claimed.id, base_version=0, key=place.key, epoch=claimed.epoch, version=claimed.version)

    def forget(self, place: Place) -> None:
        JournalEntry.objects.filter(work_item=self.claimed.id, key=place.key).delete()


class OnStore(Journal):
    """Calls of an item in the database."""

    def place(self, key: str) -> Place:
        assert isinstance(self.store, InStore)
        return self.store.place(super().place(key))


@pytest.fixture(params=["database", "memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "database":
        put()
        yield OnStore(InStore(Hand().take()), "run")
    elif request.param == "memory":
        yield Journal(MemoryJournal(), "run")
    else:
        with JsonLinesJournal(tmp_path / "journal.jsonl") as store:
            yield Journal(store, "run")


class Callee:
    """Counts its calls, and does what it is told, call by call; the last word is said again and again."""

    def __init__(self, *does: Any) -> None:
        self.does = list(does)
        self.calls: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        does = self.does[min(len(self.calls), len(self.does)) - 1]
        if isinstance(does, BaseException):
            raise does
        return does() if isinstance(does, Callable) else does  # type: ignore[arg-type]


class Killed(BaseException):
    """Stands for the end of the process in the middle of a call."""


@pytest.mark.scenario("S12")
def test_no_more_calls_are_begun_in_a_window_than_its_quota_allows(journal: Journal) -> None:
    policy = replace(QUICK, quotas=(Quota(most=2, seconds=60.0),))
    callee = Callee("sent")

    def send(key: str, name: str = "mail") -> Any:
        return journal.run(key, callee, policy=policy, name=name)

    with later(0):
        send("1")
    with later(30):
        send("2")
        with pytest.raises(QuotaExceeded) as caught:
            send("3")
        assert caught.value.details["retry_after"] == pytest.approx(30, abs=5)
        assert (send("1"), send("3", name="other")) == ("sent", "sent"), "recorded, and counted apart"
    with later(70):
        send("3 again")
        with pytest.raises(QuotaExceeded) as caught:
            send("4")
        assert caught.value.details["retry_after"] == pytest.approx(20, abs=5)
    assert len(callee.calls) == 4


@pytest.mark.scenario("S12")
def test_a_quota_of_nothing_in_a_window_allows_nothing(journal: Journal) -> None:
    with pytest.raises(QuotaExceeded) as caught:
        journal.run("1", Callee(1), policy=replace(QUICK, quotas=(Quota(most=0, seconds=9.0),)), name="mail")
    assert caught.value.details["retry_after"] == 9.0


@pytest.mark.scenario("S12")
def test_a_window_counts_the_runs_of_a_file_that_was_closed_between(tmp_path: Path) -> None:
    policy = replace(QUICK, quotas=(Quota(most=1, seconds=60.0),))
    for run in ("first", "second"):
        with JsonLinesJournal(tmp_path / "journal.jsonl") as store:
            journal = Journal(store, run)
            if run == "first":
                journal.run("1", Callee("sent"), policy=policy, name="mail")
            else:
                with pytest.raises(QuotaExceeded):
                    journal.run("1", Callee("sent"), policy=policy, name="mail")
                with later(61):
                    assert journal.run("1", Callee("sent"), policy=policy, name="mail") == "sent"


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """Play the block later, by the database's clock and by this machine's."""
    with advance(seconds), pytest.MonkeyPatch.context() as patch:
        moment = time.time()
        patch.setattr("runtime.journal.memory.time.time", lambda: moment + seconds)
        yield


@pytest.mark.scenario("S1")
def test_a_recorded_success_is_returned_without_a_call(journal: Journal) -> None:
    callee = Callee({"paid": [1, 2.5, None, True, "é"]})
    first = journal.run("pay", callee, 7, to="ann")
    assert journal.run("pay", callee, 7, to="ann") == first == {"paid": [1, 2.5, None, True, "é"]}
    assert callee.calls == [((7,), {"to": "ann"})]


def test_the_first_result_is_as_a_replay_will_see_it(journal: Journal) -> None:
    callee = Callee({"pair": (1, 2)})
    assert journal.run("k", callee) == journal.run("k", callee) == {"pair": [1, 2]}
    assert journal.run("nothing", Callee(None)) is None


def test_keys_are_recorded_apart(journal: Journal) -> None:
    callee = Callee("a", "b")
    assert [journal.run("1", callee), journal.run("2", callee), journal.run("1", callee)] == ["a", "b", "a"]


@pytest.mark.scenario("S2")
def test_a_failure_for_good_is_raised_again_until_it_is_reset(journal: Journal) -> None:
    callee = Callee(PermanentError("no such account", code="no_account"), "paid")
    for _ in range(2):
        with pytest.raises(CallFailed, match="no such account") as caught:
            journal.run("pay", callee)
        assert caught.value.code == "no_account"
        assert caught.value.details["error"]["type"] == "PermanentError"
    assert len(callee.calls) == 1
    journal.reset("pay")
    assert journal.run("pay", callee) == "paid"


@pytest.mark.scenario("S3")
def test_a_failure_that_may_pass_is_retried_inside_the_call(journal: Journal) -> None:
    callee = Callee(RetryableError("busy"), ConnectionError("reset"), "paid")
    assert journal.run("pay", callee, policy=QUICK) == "paid"
    assert len(callee.calls) == 3


@pytest.mark.scenario("S3")
def test_a_failure_that_is_the_callers_own_is_never_retried(journal: Journal) -> None:
    callee = Callee(InvalidInput("amount is negative"))
    with pytest.raises(CallFailed, match="amount is negative"):
        journal.run("pay", callee, policy=QUICK)
    assert len(callee.calls) == 1


@pytest.mark.scenario("S3")
def test_when_the_attempts_are_used_up_the_step_decides_and_may_call_again(journal: Journal) -> None:
    callee = Callee(*[RetryableError("busy", retry_after=0.0)] * 3, "paid")
    with pytest.raises(RetryableError, match="busy") as caught:
        journal.run("pay", callee, policy=QUICK)
    assert not isinstance(caught.value, PermanentError)
    assert len(callee.calls) == 3
    assert journal.run("pay", callee, policy=QUICK) == "paid"


def test_a_pause_longer_than_the_policys_is_left_to_the_step(journal: Journal) -> None:
    callee = Callee(RetryableError("busy", retry_after=120), "paid")
    with pytest.raises(RetryableError) as caught:
        journal.run("pay", callee, policy=QUICK)
    assert (caught.value.retry_after, len(callee.calls)) == (120, 1)


def test_a_policy_may_record_any_last_failure_for_good(journal: Journal) -> None:
    callee = Callee(RetryableError("busy"))
    policy = CallPolicy(max_attempts=2, base=0.0, jitter=0.0, sticky="any")
    for _ in range(2):
        with pytest.raises(CallFailed, match="busy"):
            journal.run("pay", callee, policy=policy)
    assert len(callee.calls) == 2


def test_another_input_under_the_same_key_is_an_error_and_no_call(journal: Journal) -> None:
    callee = Callee("paid")
    journal.run("pay", callee, 7)
    with pytest.raises(JournalMismatch, match="pay"):
        journal.run("pay", callee, 8)
    journal.run("load", callee, object(), input={"page": 1})
    with pytest.raises(JournalMismatch):
        journal.run("load", callee, object(), input={"page": 2})
    assert journal.run("load", callee, object(), input={"page": 1}) == "paid"
    assert len(callee.calls) == 2


def test_the_order_of_keywords_is_no_other_input(journal: Journal) -> None:
    callee = Callee("paid")
    journal.run("pay", callee, a={"x": 1, "y": 2}, b=2)
    journal.run("pay", callee, b=2, a={"y": 2, "x": 1})
    assert len(callee.calls) == 1


@pytest.mark.scenario("L36", "B23")
def test_a_call_that_was_cut_off_is_in_doubt_and_made_again_under_the_same_idempotency_key(journal: Journal) -> None:
    keys: list[str] = []

    def charge(amount: int, *, idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) == 1:
            raise Killed
        return "paid"

    with pytest.raises(Killed):
        journal.run("pay", charge, 7)
    assert journal.run("pay", charge, 7) == "paid"
    assert len(keys) == 2
    assert len(set(keys)) == 1


@pytest.mark.scenario("L36", "B23")
def test_a_call_that_was_cut_off_may_be_an_error_instead(journal: Journal) -> None:
    callee = Callee(Killed(), "paid")
    policy = CallPolicy(in_doubt="fail")
    with pytest.raises(Killed):
        journal.run("pay", callee, policy=policy)
    for _ in range(2):
        with pytest.raises(CallInDoubt, match="pay"):
            journal.run("pay", callee, policy=policy)
    journal.reset("pay")
    assert journal.run("pay", callee, policy=policy) == "paid"


@pytest.mark.scenario("S4", "B19")
@pytest.mark.parametrize(
    ("result", "named"),
    [(uuid.uuid4(), "UUID"), ({"n": float("nan")}, "nan"), ("\ud800", "surrogate"), ("a\x00b", "NUL")],
    ids=["type", "nan", "surrogate", "nul"],
)
def test_a_result_that_cannot_be_kept_is_a_failure_that_says_so_and_no_second_call(
    journal: Journal, result: Any, named: str
) -> None:
    callee = Callee(result)
    with pytest.raises(UnstorableOutcome, match=named):
        journal.run("pay", callee)
    with pytest.raises(CallFailed, match=named):
        journal.run("pay", callee)
    assert len(callee.calls) == 1


@pytest.mark.scenario("S4")
def test_a_result_that_is_too_large_is_a_failure(journal: Journal, settings: Any) -> None:
    settings.ROOST_MAX_RESULT_BYTES = 100
    callee = Callee("x" * 200)
    with pytest.raises(UnstorableOutcome, match="bytes"):
        journal.run("pay", callee)
    assert len(callee.calls) == 1


@pytest.mark.scenario("B19")
def test_an_error_with_text_that_no_database_stores_is_recorded_all_the_same(journal: Journal) -> None:
    callee = Callee(PermanentError("broken \ud800 and \x00"))
    for _ in range(2):
        with pytest.raises(CallFailed, match="broken"):
            journal.run("pay", callee)
    assert len(callee.calls) == 1


@pytest.mark.parametrize(
    ("key", "fn"), [("", print), ("x" * 191, print), ("a\x00", print), ("k", "no function")], ids=range(4)
)
def test_what_is_no_call_is_refused_before_anything_is_recorded(journal: Journal, key: str, fn: Any) -> None:
    with pytest.raises(InvalidInput):
        journal.run(key, fn)


def test_arguments_that_are_no_json_need_an_input_that_is(journal: Journal) -> None:
    callee = Callee("ok")
    with pytest.raises(InvalidInput, match="input="):
        journal.run("pay", callee, object())
    assert callee.calls == []


async def charge_later(amount: int) -> int:
    return amount


def test_an_async_callee_needs_an_event_loop(journal: Journal) -> None:
    with pytest.raises(InvalidInput, match="async"):
        journal.run("pay", charge_later, 1)


def test_a_call_that_takes_too_long_is_in_doubt(journal: Journal) -> None:
    import threading

    let_go = threading.Event()
    callee = Callee(lambda: let_go.wait(10), "paid")
    policy = CallPolicy(timeout=0.01, base=0.0, jitter=0.0, max_attempts=2)
    try:
        assert journal.run("pay", callee, policy=policy) == "paid"
        assert len(callee.calls) == 2
        slow = Callee(lambda: let_go.wait(10))
        with pytest.raises(CallInDoubt):
            journal.run("once", slow, policy=CallPolicy(timeout=0.01, in_doubt="fail"))
    finally:
        let_go.set()
