"""Quotas of recorded calls: exact for a run and for a namespace, whoever counts at the same instant."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from runtime.journal import Quota
from runtime.journal.entries import Answer, Begin, End, Found, Place
from runtime.models import JournalEntry
from runtime.store import get_store
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, Together, after, put

RUN = Quota(most=2)
MINUTE = Quota(most=2, seconds=60.0)


def begin(claimed: Claimed, key: str, *quotas: Quota, **values: Any) -> Begin:
    place = Place(item=claimed.id, base_version=claimed.version, key=key, epoch=claimed.epoch, version=claimed.version)
    usual: dict[str, Any] = {"call": uuid.uuid4(), "name": "mail", "input_hash": "h", "idempotency_key": key}
    return Begin(place=place, quotas=quotas, **(usual | values))


def answers(*writes: Begin | End) -> list[Answer]:
    return [found.answer for found in get_store().journal(writes)]


def one(write: Begin | End) -> Found:
    [found] = get_store().journal([write])
    return found


def items(count: int, **values: Any) -> list[Claimed]:
    """Return running items of one worker."""
    for _ in range(count):
        put(**values)
    return Hand().claim(limit=count)


@pytest.mark.scenario("S12")
@pytest.mark.django_db
@pytest.mark.parametrize("together", [True, False])
def test_no_more_calls_are_begun_in_a_run_than_its_quota_allows(together: bool) -> None:
    [claimed] = items(1)
    writes = [begin(claimed, key, RUN) for key in "abc"]
    found = answers(*writes) if together else [one(write).answer for write in writes]
    assert found == [Answer.WRITTEN, Answer.WRITTEN, Answer.SPENT]
    assert set(JournalEntry.objects.values_list("key", flat=True)) == {"a", "b"}
    refused = one(begin(claimed, "d", RUN))
    assert (refused.quota, refused.retry_after) == (RUN, None)


@pytest.mark.scenario("S12")
@pytest.mark.django_db
def test_what_is_recorded_is_never_refused_and_attempts_are_no_calls() -> None:
    [claimed] = items(1)
    first = begin(claimed, "a", RUN)
    one(first)
    one(begin(claimed, "b", RUN))
    assert one(first).answer is Answer.WRITTEN, "sent twice"
    one(End(place=first.place, call=first.call, state="retry", error="{}"))
    again = begin(claimed, "a", RUN)
    assert one(again) == Found(answer=Answer.WRITTEN, attempts=2)
    one(End(place=again.place, call=again.call, state="succeeded", result="1"))
    assert one(begin(claimed, "a", RUN)).answer is Answer.RECORDED


@pytest.mark.scenario("S12", "L27")
@pytest.mark.django_db
def test_runs_names_and_namespaces_are_counted_apart() -> None:
    mine, theirs = items(2)
    [foreign] = items(1, namespace="other")
    assert answers(*(begin(mine, key, RUN, MINUTE) for key in "ab")) == [Answer.WRITTEN] * 2
    assert one(begin(theirs, "a", RUN)).answer is Answer.WRITTEN
    assert one(begin(theirs, "b", MINUTE)).answer is Answer.SPENT
    assert one(begin(foreign, "a", MINUTE)).answer is Answer.WRITTEN
    assert one(begin(mine, "c", RUN, name="other tool")).answer is Answer.WRITTEN


@pytest.mark.scenario("S12")
@pytest.mark.django_db
def test_a_window_moves_with_the_databases_clock_and_says_when_there_is_room() -> None:
    [claimed] = items(1)
    one(begin(claimed, "a", MINUTE))
    with after(40):
        one(begin(claimed, "b", MINUTE))
        refused = one(begin(claimed, "c", MINUTE))
        assert refused.answer is Answer.SPENT
        assert refused.retry_after == pytest.approx(20, abs=5)
    with after(61):
        assert one(begin(claimed, "c", MINUTE)).answer is Answer.WRITTEN
        assert one(begin(claimed, "d", MINUTE)).retry_after == pytest.approx(39, abs=5)


@pytest.mark.django_db
def test_a_quota_of_nothing_allows_nothing_and_calls_without_quotas_go_through() -> None:
    [claimed] = items(1)
    writes = [begin(claimed, "a", Quota(most=0)), begin(claimed, "b"), begin(claimed, "c", Quota(most=0, seconds=9.0))]
    assert answers(*writes) == [Answer.SPENT, Answer.WRITTEN, Answer.SPENT]


@pytest.mark.django_db
def test_an_item_that_is_gone_or_taken_away_is_fenced_as_ever() -> None:
    [claimed] = items(1)
    stranger = claimed._replace(id=uuid.uuid4())
    assert answers(begin(stranger, "a", RUN, MINUTE), begin(claimed._replace(epoch=9), "a", RUN)) == [Answer.FENCED] * 2


@pytest.mark.scenario("S12")
@pytest.mark.django_db(transaction=True)
def test_workers_that_count_at_the_same_instant_never_take_the_last_place_both() -> None:
    running = items(8)
    quota = Quota(most=3, seconds=3600.0)
    calls = [lambda claimed=claimed: one(begin(claimed, "a", quota)).answer for claimed in running]
    assert Counter(Together(calls).results()) == {Answer.WRITTEN: 3, Answer.SPENT: 5}
    assert JournalEntry.objects.count() == 3
