from __future__ import annotations

import pytest

from runtime.choices import EventKind
from runtime.exceptions import InvalidInput
from runtime.models import Event
from runtime.queries import feed
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_new_cursor_sees_what_comes_after_it_once() -> None:
    item = rows.item()
    cursor = feed.start()
    rows.event(item, 2, EventKind.CLAIMED, actor="me")
    page = feed.read(cursor)
    [event] = page.events
    assert (event.item, event.seq, event.kind, event.actor) == (item.pk, 2, "claimed", "me")
    assert (event.namespace, event.engine) == ("default", "counter")
    assert feed.read(page.cursor).events == ()


def test_the_beginning_sees_all_of_history() -> None:
    rows.item(event_seq=3)
    assert [event.seq for event in feed.read(feed.start(beginning=True)).events] == [1, 2, 3]


def test_pages_follow_each_other_while_more_arrives() -> None:
    item = rows.item(event_seq=5)
    seen, cursor = [], feed.start(beginning=True)
    for late in (6, 7, 8):
        page = feed.read(cursor, limit=2)
        seen += [event.seq for event in page.events]
        cursor = page.cursor
        assert page.more
        rows.event(item, late, EventKind.STEP)
    while True:
        page = feed.read(cursor, limit=2)
        seen += [event.seq for event in page.events]
        cursor = page.cursor
        if not page.more:
            break
    assert sorted(seen) == list(range(1, 9))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "p",
        "s",
        "s-1",
        "s999999999999",
        "p1:2",
        "p3:99999999999999:",
        "p5:4:",
        "p1:9:9",
        "p1:9:3,2",
        "p0:0:",
        # Digits to Python, and none to a database.
        "p\u0663:\u0663:",
        "s\u0660",
    ],
)
def test_an_unknown_cursor_is_answered_with_a_reset_and_a_cursor_of_now(cursor: str) -> None:
    item = rows.item()
    page = feed.read(cursor)
    assert page.reset
    assert page.events == ()
    rows.event(item, 2, EventKind.STEP)
    after = feed.read(page.cursor)
    assert (after.reset, [event.seq for event in after.events]) == (False, [2])


def test_pruned_events_do_not_make_a_cursor_unknown() -> None:
    rows.item(event_seq=3)
    cursor = feed.start()
    Event.objects.all().delete()
    page = feed.read(cursor)
    assert (page.reset, page.events) == (False, ())


def test_the_limit_is_bounded() -> None:
    with pytest.raises(InvalidInput):
        feed.read(feed.start(), limit=0)


def test_a_read_costs_three_queries_at_most(django_assert_max_num_queries: object) -> None:
    rows.item(event_seq=20)
    cursor = feed.start(beginning=True)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        feed.read(cursor)
