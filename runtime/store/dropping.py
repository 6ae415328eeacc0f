"""Remove the snapshots that a policy does not keep, in the transaction whose commits replace them.

The items' rows are locked, and were written, by the caller's transaction: nobody reads the removed states as the
latest, since whoever sees the item's new version sees the snapshot of that version.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections
from django.db.models import F

from runtime.choices import OffloadPlace
from runtime.models import Offloaded, Snapshot, WorkItem
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows
from runtime.store.values import Outcome

# The count says which gaps in an item's versions are meant to be there.
DROP = """
WITH gone AS (
    DELETE FROM roost_snapshot s
    USING (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) LIMIT %s::int) AS d(item, version)
    JOIN roost_workitem held ON held.id = d.item AND NOT held.legal_hold
    WHERE s.work_item_id = d.item AND s.version = d.version
    RETURNING s.work_item_id AS item, s.version
), let_go AS (
    -- What a removed state was moved to is no longer needed for it.
    DELETE FROM roost_offloaded o USING gone
    WHERE o.work_item_id = gone.item AND o.place = 'state' AND o.version = gone.version
)
UPDATE roost_workitem w SET snapshots_dropped = w.snapshots_dropped + 1
FROM gone WHERE w.id = gone.item AND gone.version > 0
"""


def drop(using: str, accepted: Sequence[Outcome]) -> None:
    """Remove what the commits of these outcomes replaced and their policies do not keep, but for items on hold."""
    going = sorted((outcome.item, outcome.version) for outcome in accepted if outcome.drops and outcome.advance)
    if not going:
        return
    if connections[using].vendor == "postgresql":
        params = [plain([item for item, _ in going]), plain([version for _, version in going]), str(len(going))]
        rows(using, DROP, params)
        return
    for item, version in going:
        found = Snapshot.objects.using(using).filter(work_item_id=item, version=version, work_item__legal_hold=False)
        removed, _ = found.delete()
        if removed:
            Offloaded.objects.using(using).filter(work_item_id=item, place=OffloadPlace.STATE, version=version).delete()
        if removed and version:
            WorkItem.objects.using(using).filter(pk=item).update(snapshots_dropped=F("snapshots_dropped") + 1)
