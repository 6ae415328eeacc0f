"""The diff of two JSON values names each place that differs, and no other."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jsondata import same_json
from runtime.queries.jsondiff import Change, compare, compare_shown

pytestmark = pytest.mark.plain

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text("ab/~", max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=4)
)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 2}, [("changed", "/a", 1, 2)]),
        ({"a": 1}, {"b": 1}, [("removed", "/a", 1, None), ("added", "/b", None, 1)]),
        ({"a": {"b/c": [1, 2]}}, {"a": {"b/c": [1, 3]}}, [("changed", "/a/b~1c/1", 2, 3)]),
        ([1, 2, 3], [0, 1, 2, 3], [("added", "/0", None, 0)]),
        ([1, 2, 3], [1, 3], [("removed", "/1", 2, None)]),
        ([1, 1], [1], [("removed", "/1", 1, None)]),
        (1, True, [("changed", "", 1, True)]),
        (None, {}, [("changed", "", None, {})]),
        ([], {}, [("changed", "", [], {})]),
        (1, 1.0, []),
        (10**400, 1.5, [("changed", "", 10**400, 1.5)]),
    ],
)
def test_a_difference_is_told_by_its_place(before: Any, after: Any, changes: list[tuple[Any, ...]]) -> None:
    assert list(compare(before, after).changes) == [Change(*change) for change in changes]


def test_the_answer_is_bounded_and_says_so() -> None:
    found = compare({}, {str(n): n for n in range(50)}, most=10)
    assert (len(found.changes), found.more) == (10, True)
    exact = compare({}, {str(n): n for n in range(10)}, most=10)
    assert (len(exact.changes), exact.more) == (10, False)


@given(VALUES, VALUES)
def test_nothing_differs_exactly_when_the_values_are_the_same(before: Any, after: Any) -> None:
    assert compare(before, after).same == same_json(before, after)


@given(VALUES, VALUES)
def test_doing_what_the_diff_says_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    assert same_json(patched(before, compare(before, after, most=10_000).changes), after)


def patched(value: Any, changes: tuple[Change, ...]) -> Any:
    """Apply the changes; what is removed goes last, from the end."""
    root = {"": copy.deepcopy(value)}
    removed = [change for change in changes if change.kind == "removed"]
    for change in (*(one for one in changes if one.kind != "removed"), *reversed(removed)):
        *way, last = ["", *(part.replace("~1", "/").replace("~0", "~") for part in change.path.split("/")[1:])]
        place: Any = root
        for part in way:
            place = place[int(part) if isinstance(place, list) else part]
        if isinstance(place, list):
            number = int(last)
            if change.kind == "added":
                place.insert(number, change.after)
            elif change.kind == "removed":
                del place[number]
            else:
                place[number] = change.after
        elif change.kind == "removed":
            del place[last]
        else:
            place[last] = change.after
    return root[""]


def hidden(value: Any) -> Any:
    return {name: "…" if name == "secret" else inner for name, inner in value.items()}


def test_what_is_masked_names_no_place_and_is_not_the_same() -> None:
    found = compare_shown({"secret": 1, "open": 1}, {"secret": 2, "open": 1}, hidden)
    assert (found.changes, found.more, found.same) == ((), True, False)
    found = compare_shown({"secret": 1, "open": 1}, {"secret": 2, "open": 2}, hidden)
    assert found.changes == (Change("changed", "/open", 1, 2),)
    assert compare_shown({"secret": 1}, {"secret": 1}, hidden).same


def test_with_no_room_for_a_difference_there_is_more() -> None:
    assert not compare({"a": 1}, {"a": 2}, most=0).same
