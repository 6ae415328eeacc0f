"""Plans of pruning on PostgreSQL: among a hundred thousand items, it looks at what it removes, piece by piece."""

from __future__ import annotations

import pytest
from django.db import connection

from runtime.models import Snapshot, WorkItem
from runtime.operations.prune import prune
from runtime.operations.prune_history import prune_history
from runtime.store import blobs, going, old_history
from tests.contracts.plans import LARGE, Plans, fill, looked_at, watched_reads
from tests.factories import now
from tests.runtime.operations.aged import DAY

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

OLD = 50
NAMING = 1_000
TABLES = LARGE | {"roost_wait", "roost_blob", "roost_artifact", "roost_offloaded", "roost_signal"}
# Nearly all have ended, some of them long ago, of which half are held; a thousand wait for children by name, and as
# many waits are history.
ENDED = f"""
DELETE FROM roost_resourceclaim; DELETE FROM roost_lease;
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM roost_workitem)
UPDATE roost_workitem w SET
    state = CASE WHEN n > {NAMING} THEN (ARRAY['done', 'failed', 'cancelled'])[n % 3 + 1] ELSE 'waiting' END,
    reason = '', asked = n <= {NAMING},
    finished_at = CASE WHEN n > {NAMING} THEN now() - CASE WHEN n > 100000 - {OLD * 2} THEN interval '100 day'
        ELSE interval '1 day' END END,
    legal_hold = n > 100000 - {OLD}
FROM numbered WHERE numbered.id = w.id;
INSERT INTO roost_wait (
    id, work_item_id, base_version, key, kind, state, needed, prompt, signal_name, quorum, on_reject, has_default,
    data, answers, resolved_by, spawned, created_at, row_version
)
SELECT gen_random_uuid(), id, 1, 'k' || n, 'children', CASE WHEN n = 1 THEN 'open' ELSE 'consumed' END, 'all', '', '',
    1, 'answer', false, jsonb_build_object('children', jsonb_build_array(id::text)), '[]', '', '[]', now(), 1
FROM roost_workitem, generate_series(1, 20) AS n WHERE state = 'waiting'
"""
# Twenty thousand that ended long ago are children of an item that goes on, and two thousand have live forks.
STAYING = (
    "DELETE FROM roost_resourceclaim; DELETE FROM roost_lease",
    """
    WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM roost_workitem)
    UPDATE roost_workitem w SET
        state = CASE WHEN n <= 22050 THEN 'done' ELSE 'paused' END, reason = '',
        finished_at = CASE WHEN n <= 22050 THEN now() - interval '100 day' + n * interval '1 second' END
    FROM numbered WHERE numbered.id = w.id
    """,
    """
    UPDATE roost_workitem SET parent_id = (SELECT id FROM roost_workitem WHERE state = 'paused' LIMIT 1)
    WHERE id IN (SELECT id FROM roost_workitem WHERE state = 'done' ORDER BY finished_at LIMIT 20000)
    """,
    """
    WITH live AS (SELECT id, row_number() OVER () AS n FROM roost_workitem WHERE state = 'paused' LIMIT 2000),
        old AS (
            SELECT id, row_number() OVER (ORDER BY finished_at) AS n FROM roost_workitem
            WHERE state = 'done' AND parent_id IS NULL
        )
    UPDATE roost_workitem w SET forked_from_id = old.id FROM live JOIN old USING (n) WHERE live.id = w.id
    """,
)
# Three thousand old snapshots of one item and many younger ones, one of which was restored from an old one.
LONG = (
    "UPDATE roost_workitem SET version = 20000 WHERE id = %s",
    "UPDATE roost_snapshot SET created_at = now() - interval '100 day' WHERE work_item_id = %s",
    """
    INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at, restored_from)
        SELECT %s, n, 1, '{}', '', now() - CASE WHEN n < 3000 THEN interval '100 day' ELSE interval '0' END,
            CASE WHEN n = 9000 THEN 7 END
        FROM generate_series(2, 20000) AS n
    """,
)
CONTENTS = """
INSERT INTO roost_blob (sha256, size, path, touched_at)
    SELECT md5(n::text), 1, 'x', now() - interval '100 day' + n * interval '1 second'
    FROM generate_series(1, 20000) AS n;
INSERT INTO roost_artifact (
    id, work_item_id, version, name, kind, content_type, size, sha256, metadata, created_at, row_version
)
SELECT gen_random_uuid(), (SELECT id FROM roost_workitem LIMIT 1), 1, n::text, 'other', 'text/plain', 1, md5(n::text),
    '{}', now(), 1
FROM generate_series(1, 20000) AS n
"""
# All of them: where nobody has counted an empty table since it was emptied, a planner takes it for ten pages of rows.
VACUUM = f"VACUUM ANALYZE {', '.join(sorted(TABLES))}"


def run(*statements: str, params: list[object] | None = None) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, params)


def most(plans: Plans, tables: frozenset[str] = TABLES) -> tuple[int, str]:
    """Return the most rows of these tables that a query looked at, and how it begins."""
    return max((looked_at(plan, tables), text[:500]) for text, plan in plans.items())


def test_pruning_looks_at_what_it_removes() -> None:
    fill(later=2)
    run(ENDED)
    run(VACUUM)
    with watched_reads() as plans:
        done = prune()
    assert done.items == OLD
    assert WorkItem.objects.count() == 100_000 - OLD
    rows, text = most(plans)
    assert rows <= OLD * 4, text


def test_what_somebody_waits_for_is_found_by_its_name() -> None:
    fill(later=2)
    run(ENDED)
    run(VACUUM)
    named = list(WorkItem.objects.filter(state="waiting").values_list("pk", flat=True)[:3])
    others = list(WorkItem.objects.filter(state="done").values_list("pk", flat=True)[:97])
    with watched_reads() as plans:
        assert going.waited_for("default", [*others, *named]) == set(named)
    rows, text = most(plans)
    assert rows <= len(named) * 4, text


def test_what_has_to_stay_is_passed_in_pieces_and_children_are_not_looked_at() -> None:
    fill(later=2)
    run(*STAYING)
    run(VACUUM)
    with watched_reads() as plans:
        done = prune()
    assert done.items == 50
    rows, text = most(plans)
    assert rows <= going.LOOK * 5, text
    assert len(plans) < 100, "twenty thousand children are in nobody's way"


def test_a_long_history_is_looked_at_in_pieces() -> None:
    fill(later=2)
    item = WorkItem.objects.order_by("pk")[5].pk
    run(*LONG, params=[item])
    run(VACUUM)
    with watched_reads() as plans:
        done = old_history.trim("default", item, now(-50 * DAY))
    assert done.snapshots == old_history.ROWS
    rows, text = most(plans)
    assert rows <= old_history.ROWS * 3, text
    assert prune_history().snapshots == 2998 - old_history.ROWS
    assert Snapshot.objects.filter(work_item=item, version=7).exists()


def test_content_that_is_needed_is_passed_in_pieces() -> None:
    if connection.pg_version < 160_000:
        pytest.skip("an older planner reads these twenty thousand contents at once rather than look for five hundred")
    fill(later=2)
    run(CONTENTS)
    run(VACUUM)
    place: blobs.Place | None = None
    with watched_reads() as plans:
        for _ in range(5):
            place = blobs.sweep("default", limit=100, after=place).place
    assert place is not None
    # A small table of artifacts is read whole rather than asked five hundred times.
    rows, text = most(plans, frozenset({"roost_blob"}))
    assert rows <= blobs.LOOK * 2, text
