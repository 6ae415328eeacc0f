from __future__ import annotations

import uuid

import pytest

from runtime.choices import State
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.queries import items
from runtime.queries.items import ItemFilter
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def test_pages_follow_each_other_without_gap_or_repeat_while_items_arrive() -> None:
    made = [rows.item() for _ in range(5)]
    first = items.page(ItemFilter(), limit=2)
    rows.item()
    second = items.page(ItemFilter(), before=first.rows[-1].pk, limit=2)
    third = items.page(ItemFilter(), before=second.rows[-1].pk, limit=2)
    seen = [item.pk for page in (first, second, third) for item in page.rows]
    assert seen == [item.pk for item in reversed(made)]
    assert (first.more, second.more, third.more) == (True, True, False)


def test_a_list_leaves_payloads_in_the_database() -> None:
    rows.item(payload={"large": "x" * 1000})
    [found] = items.page(ItemFilter()).rows
    assert found.get_deferred_fields() == {"payload", "config", "result"}


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        (ItemFilter(states=("failed",)), {"state": State.FAILED}),
        (ItemFilter(engine="watchlist"), {"engine": "watchlist"}),
        (ItemFilter(reason="delay"), {"reason": "delay"}),
        (ItemFilter(fingerprint="abc"), {"fingerprint": "abc"}),
    ],
)
def test_each_filter_narrows(wanted: ItemFilter, values: dict[str, str]) -> None:
    rows.item()
    match = rows.item(**values)
    assert [item.pk for item in items.page(wanted).rows] == [match.pk]


@pytest.mark.scenario("L27")
def test_a_namespace_lists_and_counts_only_its_own() -> None:
    rows.item(namespace="a")
    mine = rows.item(State.DONE, namespace="b")
    assert [item.pk for item in items.page(ItemFilter(namespace="b")).rows] == [mine.pk]
    assert items.counts(namespace="b") == dict.fromkeys(State.values, 0) | {"done": 1}


def test_children_are_listed_by_their_parent() -> None:
    parent = rows.item()
    child = rows.item(parent=parent)
    assert [item.pk for item in items.page(ItemFilter(parent=parent.pk)).rows] == [child.pk]


def test_an_unknown_state_or_reason_is_refused() -> None:
    with pytest.raises(InvalidInput, match="There is no state 'finished'"):
        ItemFilter(states=("finished",))
    with pytest.raises(InvalidInput, match="There is no reason 'mood'"):
        ItemFilter(reason="mood")


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match="must be 1 to 1000"):
        items.page(ItemFilter(), limit=limit)


def test_an_item_is_found_by_its_id_in_any_spelling_and_by_a_unique_beginning() -> None:
    one = WorkItem.objects.get(pk=rows.item(id=uuid.UUID("aaaa1111-0000-7000-8000-000000000001")).pk)
    rows.item(id=uuid.UUID("aaaa2222-0000-7000-8000-000000000002"))
    for name in (one.pk, str(one.pk), one.pk.hex, str(one.pk).upper(), "aaaa1111", "aaaa1111-0000-7", " aaaa1 "):
        assert items.get(name).pk == one.pk


def test_a_beginning_that_fits_several_items_is_refused_and_names_two() -> None:
    rows.item(id=uuid.UUID("aaaa1111-0000-7000-8000-000000000001"))
    rows.item(id=uuid.UUID("aaaa2222-0000-7000-8000-000000000002"))
    with pytest.raises(InvalidInput, match=r"aaaa1111.*aaaa2222.*more digits"):
        items.get("aaaa")


def test_an_id_that_is_nobodys_is_not_found() -> None:
    with pytest.raises(NotFound, match="There is no work item"):
        items.get(uuid.uuid4())
    with pytest.raises(NotFound):
        items.get("abcdef")


@pytest.mark.parametrize("name", ["", "abc", "xyz!", "a" * 33, "0%"])
def test_what_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is no work item id"):
        items.get(name)
