"""Plans on PostgreSQL: with a hundred thousand waits, signals and children, nothing reads a table from end to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from runtime.choices import State
from runtime.models import WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.store.overdue_waits import notice_children
from runtime.store.postgres import session
from tests.contracts.asking import ends, park, signal, wait_for, waiting, with_children
from tests.contracts.builders import Hand, after, put
from tests.contracts.plans import fill, read_whole
from tests.factories import now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LARGE = frozenset({"roost_workitem", "roost_wait", "roost_signal", "roost_event", "roost_snapshot", "roost_mailbox"})

AROUND = """
INSERT INTO roost_wait (
    id, work_item_id, base_version, key, kind, state, needed, prompt, signal_name, quorum, on_reject, has_default,
    "default", answers, resolved_by, spawned, expires_at, created_at, row_version
)
SELECT gen_random_uuid(), id, 1, 'k', CASE WHEN random() < .5 THEN 'signal' ELSE 'approval' END,
    CASE WHEN random() < .5 THEN 'open' ELSE 'consumed' END, 'all', '', 'name ' || (random() * 1000)::int, 1, 'answer',
    false, NULL, '[]', '', '[]', now() + interval '1 day', now(), 1
FROM roost_workitem;
INSERT INTO roost_signal (id, namespace, name, actor, created_at, taken_by_id)
    SELECT gen_random_uuid(), 'default', 'name ' || (random() * 1000)::int, '', now(),
        CASE WHEN random() < .5 THEN id END FROM roost_wait;
INSERT INTO roost_mailbox (namespace, name) SELECT 'default', 'name ' || n FROM generate_series(1, 1000) AS n;
UPDATE roost_workitem w SET parent_id = p.id
    FROM (SELECT id, row_number() OVER () AS n FROM roost_workitem) c
    JOIN (SELECT id, row_number() OVER () AS n FROM roost_workitem LIMIT 1000) p ON p.n = c.n %% 1000 + 1
    WHERE w.id = c.id;
ANALYZE roost_workitem, roost_wait, roost_signal, roost_mailbox
"""


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Collect the statements, the ORM's and the store's own, that read a large table from end to end."""
    found: dict[str, set[str]] = {}
    send = session._send

    def look(text: str, params: Any) -> None:
        if text.lstrip().startswith(("WITH", "SELECT", "UPDATE", "DELETE", "(")) and "roost_" in text:
            with psycopg.ClientCursor(connection.connection) as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {text}", params)
                row = cursor.fetchone()
                assert row is not None
                if tables := read_whole(row[0][0]["Plan"]) & LARGE:
                    found[text] = tables

    def by_orm(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        look(sql, params)
        return execute(sql, params, many, context)

    def by_store(wrapper: Any, text: str, params: Any) -> Any:
        look(text, params)
        return send(wrapper, text, params)

    monkeypatch.setattr(session, "_send", by_store)
    monkeypatch.setattr("tests.contracts.plans.LARGE", LARGE)
    with connection.execute_wrapper(by_orm):
        yield found


def test_no_statement_about_waits_reads_a_large_table(whole: dict[str, Any]) -> None:
    fill(later=2)
    with connection.cursor() as cursor:
        cursor.execute(AROUND.replace("%%", "%"))
    WorkItem.objects.filter(state=State.QUEUED).update(run_at=now(86_400))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE roost_workitem")
    whole.clear()
    hand = Hand()
    approve(waiting(hand, wait_for("yes", "approval", expires_in=60)))
    hand.commit(hand.take(), asked=True)
    late = waiting(hand, wait_for("late", "approval", expires_in=60))
    waiting(hand, wait_for("fresh"))
    hand.store.signal(signal("fresh"))
    hand.commit(hand.take(), State.DONE, asked=True)
    hand.store.signal(signal("name 8", target=late))
    parent, children = with_children(hand, 2)
    ends(hand, children[0])
    cancel(parent)
    put(priority=5)
    park(hand, hand.take(), wait_for("name 9", "signal"))
    notice_children("default")
    with after(61):
        assert hand.store.sweep(batch=10).expired == 1
    assert whole == {}
