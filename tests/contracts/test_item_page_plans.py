"""An item's pages on PostgreSQL: whatever its story is, each query looks at what the page shows of it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from runtime.models import WorkItem
from tests.contracts.plans import AROUND, BULK, LARGE, blocks, looked_at, watched_reads

pytestmark = pytest.mark.django_db

ITEMS = 3_000
LONG = 10_000
"""Events, and snapshots, of the item whose story is long."""
MOST = 600
"""Rows of large tables that one query looks at: a page of the story reads 500 events."""
STORY = (
    "UPDATE roost_workitem SET event_seq = %(most)s, version = %(most)s WHERE id = %(item)s",
    """
    INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, created_at)
    SELECT %(item)s, n, 'step', n, 1, 0, %(item)s, '', '', now() FROM generate_series(2, %(most)s) AS n
    """,
    """
    INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at)
    SELECT %(item)s, n, 1, '{}', '', now() FROM generate_series(2, %(most)s) AS n
    """,
    "ANALYZE roost_event, roost_snapshot",
)


@pytest.fixture
def item() -> WorkItem:
    """Make an item with a long story, among some that have a short one."""
    with connection.cursor() as cursor:
        cursor.execute(BULK, [2, ITEMS // 10, ITEMS])
        cursor.execute(AROUND)
        made: WorkItem = WorkItem.objects.all()[500]
        for statement in STORY:
            cursor.execute(statement, {"item": made.pk, "most": LONG})
    return made


def test_an_items_pages_read_what_they_show(item: WorkItem) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    with watched_reads() as plans:
        for page, query in (("change", {}), ("story", {}), ("story", {"after": LONG - 150}), ("state", {"against": 7})):
            url = reverse(f"admin:roost_workitem_{page}", args=[item.pk])
            assert client.get(url, query).status_code == 200
    assert any("roost_event" in text for text in plans)
    assert {text: rows for text, plan in plans.items() if (rows := looked_at(plan, LARGE)) > MOST} == {}
    assert {text: read for text, plan in plans.items() if (read := blocks(plan)) > MOST} == {}
