from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import Reason, State
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.queries import dead
from runtime.queries.dead import DeadFilter
from tests.runtime.queries import rows

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L12")]


def letter(message: str = "no", **values: object) -> WorkItem:
    error = {"type": "ValueError", "message": message}
    defaults = {"reason": Reason.PERMANENT_ERROR, "fingerprint": "f1", "last_error": error}
    return rows.item(State.FAILED, **defaults | values)


def test_only_failed_items_are_dead_letters() -> None:
    rows.item(State.DONE)
    rows.item(State.CANCELLED)
    mine = letter()
    assert [item.pk for item in dead.page(DeadFilter()).rows] == [mine.pk]


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        (DeadFilter(engine="watchlist"), {"engine": "watchlist"}),
        (DeadFilter(namespace="other"), {"namespace": "other"}),
        (DeadFilter(reason="poison"), {"reason": Reason.POISON}),
        (DeadFilter(fingerprint="f2"), {"fingerprint": "f2"}),
        (DeadFilter(category="business"), {"last_error": {"message": "no", "category": "business"}}),
    ],
)
def test_each_filter_narrows(wanted: DeadFilter, values: dict[str, Any]) -> None:
    letter()
    match = letter(**values)
    assert [item.pk for item in dead.page(wanted).rows] == [match.pk]


def test_acknowledged_letters_can_be_left_out() -> None:
    fresh, seen = letter(), letter(acknowledged_at=rows.now())
    assert [item.pk for item in dead.page(DeadFilter(acknowledged=False)).rows] == [fresh.pk]
    assert [item.pk for item in dead.page(DeadFilter(acknowledged=True)).rows] == [seen.pk]


def test_a_page_is_limited_and_the_next_one_goes_on() -> None:
    made = [letter().pk for _ in range(3)]
    first = dead.page(DeadFilter(), limit=2)
    second = dead.page(DeadFilter(), before=first.rows[-1].pk, limit=2)
    assert [item.pk for item in (*first.rows, *second.rows)] == made[::-1]


def test_letters_are_grouped_by_what_went_wrong_the_largest_group_first() -> None:
    letter("a"), letter("b"), letter(fingerprint="f2", reason=Reason.ATTEMPTS_EXHAUSTED, last_error=None)
    large, small = dead.groups(DeadFilter()).rows
    assert (large.fingerprint, large.count, large.message) == ("f1", 2, "b")
    assert (small.reason, small.count, small.message) == ("attempts_exhausted", 1, "")
    assert large.first is not None
    assert large.last is not None
    assert large.first < large.last


@pytest.mark.scenario("L15")
def test_a_category_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"no category 'odd'. Categories: transient"):
        DeadFilter(category="odd")
