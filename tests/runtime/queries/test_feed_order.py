from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.models import WorkItem
from runtime.queries import feed
from tests.runtime.queries import rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("L49")]

INSERT = """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, created_at)
VALUES (%s, %s, 'step', 0, 0, 0, '', '', statement_timestamp())
"""

MANY = """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, created_at)
SELECT %s, seq, 'step', 0, 0, 0, '', '', statement_timestamp() FROM generate_series(%s, %s) seq
"""


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    """A second session on the same database."""
    session = connection.copy()
    yield session
    session.close()


def write(session: BaseDatabaseWrapper, item: WorkItem, seq: int) -> None:
    with session.cursor() as cursor:
        cursor.execute(INSERT, [item.pk, seq])


def seqs(page: feed.FeedPage) -> list[int]:
    return [event.seq for event in page.events]


def test_an_event_with_a_lower_id_that_commits_later_is_not_missed(other: BaseDatabaseWrapper) -> None:
    slow, quick = rows.item(event_seq=0), rows.item(event_seq=0)
    cursor = feed.start()
    other.set_autocommit(False)
    write(other, slow, 1)
    write(connection, quick, 2)
    early = feed.read(cursor)
    assert seqs(early) == [2]
    other.commit()
    late = feed.read(early.cursor)
    assert seqs(late) == [1]
    assert feed.read(late.cursor).events == ()


def test_a_transaction_open_before_the_first_cursor_is_told_when_it_commits(other: BaseDatabaseWrapper) -> None:
    item = rows.item(event_seq=0)
    other.set_autocommit(False)
    write(other, item, 1)
    cursor = feed.start()
    assert feed.read(cursor).events == ()
    other.commit()
    assert seqs(feed.read(cursor)) == [1]


def test_a_commit_between_two_pages_is_told_after_them(other: BaseDatabaseWrapper) -> None:
    slow, quick = rows.item(event_seq=0), rows.item(event_seq=0)
    cursor = feed.start()
    other.set_autocommit(False)
    write(other, slow, 1)
    for seq in (1, 2, 3):
        write(connection, quick, seq)
    first = feed.read(cursor, limit=2)
    other.commit()
    second = feed.read(first.cursor, limit=2)
    third = feed.read(second.cursor, limit=2)
    told = [(event.item, event.seq) for page in (first, second, third) for event in page.events]
    assert sorted(told) == sorted([(quick.pk, 1), (quick.pk, 2), (quick.pk, 3), (slow.pk, 1)])
    assert (first.more, second.more, third.more) == (True, True, False)


def test_a_transaction_that_rolls_back_leaves_no_trace(other: BaseDatabaseWrapper) -> None:
    item = rows.item(event_seq=0)
    cursor = feed.start()
    other.set_autocommit(False)
    write(other, item, 1)
    other.rollback()
    assert feed.read(cursor).events == ()


def test_a_read_near_the_end_of_a_long_history_uses_the_index_on_tx() -> None:
    item = rows.item(event_seq=0)
    with connection.cursor() as cursor:
        for start in range(1, 100_001, 10_000):
            cursor.execute(MANY, [item.pk, start, start + 9_999])
        cursor.execute("ANALYZE roost_event")
        now = feed.start()
        write(connection, item, 100_001)
        # As on a server where nobody else has a transaction open: an old one would move the beginning of the range.
        end = now[1:].split(":")[1]
        seen = {"old": f"{end}:{end}:", "new": feed.start()[1:], "last": 0, "limit": 501}
        cursor.execute(f"EXPLAIN {feed.NEXT_SQL}", seen)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using roost_event_tx" in plan
    assert seqs(feed.read(now)) == [100_001]
