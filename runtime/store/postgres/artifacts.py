"""Write the artifacts of accepted outcomes, in the outcomes' transaction."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.store.postgres.arrays import plain, texts
from runtime.store.postgres.session import rows
from runtime.store.values import Outcome

INSERT = """
INSERT INTO roost_artifact (
    id, work_item_id, version, name, kind, content_type, size, sha256, metadata, row_version, created_at
)
SELECT id, item, version, name, kind, content_type, size, sha256, metadata::jsonb, 1, statement_timestamp()
FROM unnest(
    %s::uuid[], %s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[]
) AS a(id, item, version, name, kind, content_type, size, sha256, metadata)
-- A step that has asked makes its artifacts again when it runs again.
ON CONFLICT (work_item_id, version, name) DO UPDATE SET
    kind = excluded.kind, content_type = excluded.content_type, size = excluded.size, sha256 = excluded.sha256,
    metadata = excluded.metadata, row_version = roost_artifact.row_version + 1
"""


def write_artifacts(using: str, outcomes: Sequence[Outcome]) -> None:
    """Write the artifacts of these outcomes, as made by the version that each has committed."""
    found = [
        (artifact, outcome.item, outcome.version + (outcome.advance or bool(outcome.waits)))
        for outcome in outcomes
        for artifact in outcome.artifacts
    ]
    if not found:
        return
    artifacts = [artifact for artifact, _, _ in found]
    params = [
        plain([artifact.id for artifact in artifacts]),
        plain([item for _, item, _ in found]),
        plain([version for _, _, version in found]),
        texts([artifact.name for artifact in artifacts]),
        texts([artifact.kind for artifact in artifacts]),
        texts([artifact.content_type for artifact in artifacts]),
        plain([artifact.size for artifact in artifacts]),
        texts([artifact.sha256 for artifact in artifacts]),
        texts([artifact.metadata for artifact in artifacts]),
    ]
    rows(using, INSERT, params)
