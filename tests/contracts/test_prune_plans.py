"""Plans of pruning on PostgreSQL: among a hundred thousand items, it looks at what it removes."""

from __future__ import annotations

import pytest
from django.db import connection

from runtime.models import WorkItem
from runtime.operations.prune import prune
from tests.contracts.plans import fill, looked_at, watched_reads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

OLD = 50
# Nearly all have ended, some of them long ago, of which half are held; a thousand wait for children by name.
ENDED = f"""
DELETE FROM roost_resourceclaim; DELETE FROM roost_lease;
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM roost_workitem)
UPDATE roost_workitem w SET
    state = CASE WHEN n > 1000 THEN (ARRAY['done', 'failed', 'cancelled'])[n % 3 + 1] ELSE 'waiting' END,
    reason = '', asked = n <= 1000,
    finished_at = CASE WHEN n > 1000 THEN now() - CASE WHEN n > 100000 - {OLD * 2} THEN interval '100 day'
        ELSE interval '1 day' END END,
    legal_hold = n > 100000 - {OLD}
FROM numbered WHERE numbered.id = w.id;
INSERT INTO roost_wait (
    id, work_item_id, base_version, key, kind, state, needed, prompt, signal_name, quorum, on_reject, has_default,
    data, answers, resolved_by, spawned, created_at, row_version
)
SELECT gen_random_uuid(), id, 1, 'k', 'children', 'open', 'all', '', '', 1, 'answer', false,
    jsonb_build_object('children', jsonb_build_array(id::text)), '[]', '', '[]', now(), 1
FROM roost_workitem WHERE state = 'waiting'
"""


def test_pruning_looks_at_what_it_removes() -> None:
    fill(later=2)
    with connection.cursor() as cursor:
        cursor.execute(ENDED)
        cursor.execute("VACUUM ANALYZE roost_workitem, roost_wait")
    with watched_reads() as plans:
        done = prune()
    assert done.items == OLD
    assert WorkItem.objects.count() == 100_000 - OLD
    for text, plan in plans.items():
        # A thousand waits name somebody.
        assert looked_at(plan) <= 1000 + OLD, text
