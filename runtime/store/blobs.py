"""Keep the rows that say which content the artifact storage holds, and sweep what nobody needs.

Whoever stores content touches its row first, committed at once, and looks for the bytes after that. Whoever sweeps
takes a row that was not touched for `ROOST_ARTIFACT_ORPHAN_SECONDS` and that nothing in `REFERRING` needs, and puts a
tombstone in its place, committed before the bytes are removed. Whoever finds the tombstone of the content that he
stores takes another name for it, since nobody knows when a removal that was sent will arrive. So content that somebody
has just found is never removed, however long a storage hangs, and a crash leaves at worst a row that a later sweep
takes. An atomic step on SQLite holds the only write lock, so its touch is part of its transaction, as is that of a
caller under REPEATABLE READ, whose commit would not see any other; bytes left behind when they fail have no row until
`adopt_strays` finds them.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from django.core.files.storage import Storage
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from runtime import artifacts, clock, faults
from runtime.artifacts import Prepared
from runtime.conf import settings as roost
from runtime.exceptions import StorageUnavailable
from runtime.models import Artifact, Blob, Offloaded
from runtime.models.workitem import new_id
from runtime.store.transactions import begin, retried, transacted
from runtime.store.values import NewArtifact

logger = logging.getLogger("roost.artifacts")

CONTENT = re.compile(r"([0-9a-f]{64})(?:-[0-9a-f]{8})?")
"""The last part of a content's name in the storage: its hash, and which copy it is after the first was removed."""
FOLDER = re.compile(r"[0-9a-f]{2}")

REFERRING: tuple[type[Model], ...] = (Artifact, Offloaded)
"""Whose rows keep content from the sweep."""

LOOK = 500
"""Contents that one query looks at."""

Place = tuple[dt.datetime, str]
"""A content in the order of the sweep: when it was stored last, and its hash."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """How many contents were tried and removed, and where the next sweep goes on: None when all were looked at."""

    removed: int = 0
    tried: int = 0
    place: Place | None = None


# The row says that somebody is about to rely on the content; an upsert, since two may store it at once.
TOUCH = """
    INSERT INTO roost_blob (sha256, size, path, touched_at)
    VALUES (%s, %s, %s, {now})
    ON CONFLICT (sha256) DO UPDATE SET touched_at = excluded.touched_at
    RETURNING path
"""
PATH = "SELECT path FROM roost_blob WHERE sha256 = %s"
RENAME = "UPDATE roost_blob SET path = %s WHERE sha256 = %s AND path = %s"

GONE = "gone"

SESSION_TIMEOUTS = "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)"


def store(using: str, prepared: Prepared) -> NewArtifact:
    """Keep content that `artifacts.prepare()` checked, and return the artifact to commit with the step's outcome.

    Safe to call again and from many workers at once: content is written once. If the step never commits, it is swept
    later. Raises `StorageUnavailable` (retryable).
    """
    put(using, prepared)
    return NewArtifact(
        id=new_id(),
        name=prepared.name,
        kind=prepared.kind,
        content_type=prepared.content_type,
        size=prepared.size,
        sha256=prepared.sha256,
        metadata=prepared.metadata,
    )


def put(using: str, prepared: Prepared) -> Prepared:
    """Keep content for whoever refers to it before `ROOST_ARTIFACT_ORPHAN_SECONDS` are over. As safe as `store()`.

    Returns it with the name under which it is kept.
    """
    with faults.around("content"):
        path = retried(using, partial(_touch, using, prepared))
    kept = replace(prepared, copy=artifacts.copy_of(path))
    with faults.around("artifact"):
        artifacts.write(kept)
    return kept


def _touch(using: str, prepared: Prepared) -> str:
    """Write that the content is needed; return the name for its bytes."""
    values: list[str | int] = [prepared.sha256, prepared.size, prepared.path]
    with _committing(using) as (connection, fresh), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(clock.sql(TOUCH.format(now=clock.NOW_SQL)), values)
        else:
            moment = connection.ops.adapt_datetimefield_value(clock.now(using))
            cursor.execute(TOUCH.format(now="%s"), [*values, moment])
        path: str = cursor.fetchone()[0]
        # In a statement of its own: whoever made it may have been waited for.
        with fresh.cursor() as looking:
            looking.execute(PATH, [tombstone_key(prepared.sha256)])
            if looking.fetchone() != (path,):
                return path
        cursor.execute(RENAME, [replace(prepared, copy=artifacts.new_copy()).path, prepared.sha256, path])
        # Another may have been quicker, and its name is as good.
        cursor.execute(PATH, [prepared.sha256])
        return str(cursor.fetchone()[0])


@contextmanager
def _committing(using: str) -> Iterator[tuple[BaseDatabaseWrapper, BaseDatabaseWrapper]]:
    """Give a connection on which a write commits at once, where the database allows one, and one that sees the latest.

    The write is bounded by the store's timeouts. Under REPEATABLE READ it joins the caller's transaction, which would
    not see a row that was committed beside it. A connection that was opened for this (in a thread of a pool, say) is
    closed again.
    """
    connection: BaseDatabaseWrapper = connections[using]
    if connection.in_atomic_block and connection.vendor == "postgresql" and not _in_test_case(connection):
        with closing(connection.copy()) as beside:
            with beside.cursor() as cursor:
                cursor.execute(SESSION_TIMEOUTS, [f"{roost.LOCK_TIMEOUT_MS}ms", f"{roost.STATEMENT_TIMEOUT_MS}ms"])
            yield connection if _sees_the_past(connection) else beside, beside
        return
    was_closed = connection.connection is None
    try:
        with begin(using):
            yield connection, connection
    finally:
        if was_closed:
            connection.close()


def _sees_the_past(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return cursor.fetchone() not in (("read committed",), ("read uncommitted",))


def _in_test_case(connection: BaseDatabaseWrapper) -> bool:
    """Say whether Django's TestCase will roll everything back: what is committed beside it would outlive the test."""
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def open_artifact(artifact: Artifact) -> IO[bytes]:
    """Open an artifact's content; close it after use. Raises `CorruptArtifact` when gone, or `StorageUnavailable`."""
    return artifacts.open_content(artifact.blob.path)


def read_artifact(artifact: Artifact) -> bytes:
    """Return an artifact's content, its hash checked. Raises `CorruptArtifact` or `StorageUnavailable`."""
    return artifacts.read_verified(artifact.blob.path, artifact.sha256)


def sweep(using: str, *, limit: int, after: Place | None = None) -> Swept:
    """Look at the next `LOOK` contents behind a place, and try to remove up to `limit` that no row refers to.

    Two short transactions each. The storage is called between them, so nothing is locked while it hangs. Content that
    it would not delete is tried again a period later. Safe with any number of sweepers.
    """
    page = _page(using, after)
    unused = Blob.objects.using(using).filter(pk__in=[sha256 for _at, sha256 in page])
    for model in REFERRING:
        unused = unused.filter(~Exists(model._default_manager.using(using).filter(blob=OuterRef("pk"))))
    orphans = set(unused.values_list("pk", flat=True)) if page else set()
    removed = tried = 0
    for place in page:
        if place[1] in orphans:
            removed += _sweep_one(using, place[1])
            tried += 1
        if tried >= limit:
            return Swept(removed=removed, tried=tried, place=place)
    return Swept(removed=removed, tried=tried, place=page[-1] if len(page) == LOOK else None)


def _page(using: str, after: Place | None) -> list[Place]:
    """Return the next contents that are old enough, in the order in which they were stored last."""
    rows = _old(using, _cutoff(using)).order_by("touched_at", "pk")
    if after is not None:
        same = Q(touched_at=after[0], pk__gt=after[1])
        rows = rows.filter(same | Q(touched_at__gt=after[0]), touched_at__gte=after[0])
    return list(rows.values_list("touched_at", "pk")[:LOOK])


def tombstone_key(sha256: str) -> str:
    """Return the key of the row that says that content is being removed: it is no hash. 60 digits tell them apart."""
    return sha256 if sha256.startswith(GONE) else f"{GONE}{sha256[:60]}"


def _cutoff(using: str) -> dt.datetime:
    return clock.now(using) - dt.timedelta(seconds=roost.ARTIFACT_ORPHAN_SECONDS)


def _old(using: str, cutoff: dt.datetime) -> QuerySet[Blob]:
    return Blob.objects.using(using).filter(touched_at__lt=cutoff)


def _sweep_one(using: str, sha256: str) -> bool:
    with faults.around("orphans"):
        tombstone = transacted(using, partial(_bury, using, sha256))
    if tombstone is None:
        return False
    try:
        artifacts.delete(tombstone.path)
    except StorageUnavailable:
        logger.warning("content %s could not be swept, to be tried again later", sha256, exc_info=True)
        return False
    # A later sweeper may have taken the tombstone over meanwhile: then its removal is to be heard of as well.
    ours = Blob.objects.using(using).filter(pk=tombstone.pk, touched_at=tombstone.touched_at)
    with faults.around("orphans"):
        transacted(using, ours.delete)
    return True


def _bury(using: str, sha256: str) -> Blob | None:
    """Put a tombstone in the place of a row that nobody needs, or take over one that was left; None for any other.

    A commit that refers to the content waits for this transaction, and then finds no row to refer to.
    """
    blob = _old(using, _cutoff(using)).filter(pk=sha256).select_for_update(skip_locked=True).first()
    if blob is None or any(model._default_manager.using(using).filter(blob_id=sha256).exists() for model in REFERRING):
        return None
    key, moment = tombstone_key(sha256), clock.now(using)
    if key == sha256:
        Blob.objects.using(using).filter(pk=key).update(touched_at=moment)
    elif Blob.objects.using(using).filter(pk=key).exists():
        # An earlier copy is still to be removed; this one's turn comes with a later sweep.
        return None
    else:
        Blob.objects.using(using).filter(pk=sha256).delete()
        Blob.objects.using(using).create(sha256=key, size=blob.size, path=blob.path, touched_at=moment)
    blob.sha256, blob.touched_at = key, moment
    return blob


def adopt_strays(using: str, *, limit: int, folders: Iterable[str] | None = None) -> int:
    """Give a row to up to `limit` contents that have none, so that `sweep` gets them; return how many.

    They are swept a full period after they were found. Lists the whole storage, or only `folders` (of "00"…"ff"),
    and removes drafts that a crash left behind. Raises `StorageUnavailable`.
    """
    place, moment = artifacts.storage(), clock.now(using)
    if folders is None:
        _remove_drafts(place, moment - dt.timedelta(seconds=roost.ARTIFACT_ORPHAN_SECONDS))
    adopted = 0
    for folder in _top_folders(place) if folders is None else folders:
        for inner in _folders(place, folder):
            if adopted >= limit:
                return adopted
            adopted += _adopt(using, place, inner, moment, limit - adopted)
    return adopted


def _adopt(using: str, place: Storage, folder: str, moment: dt.datetime, limit: int) -> int:
    found = {f"{folder}/{name}": match[1] for name in _list(place, folder)[1] if (match := CONTENT.fullmatch(name))}
    keys = {key for sha256 in found.values() for key in (sha256, tombstone_key(sha256))}
    known = dict(Blob.objects.using(using).filter(pk__in=keys).values_list("pk", "path"))
    strays = sorted(set(found) - set(known.values()))[:limit]
    old = moment - dt.timedelta(seconds=roost.ARTIFACT_ORPHAN_SECONDS)
    rows = []
    with artifacts.storage_errors(f"looking at {folder}"):
        for path in strays:
            sha256 = found[path]
            if not path.startswith(artifacts.path_of(sha256)) or not place.exists(path):
                continue
            if sha256 in known:
                # Beside the copy in use another can only be removed, unless it is somebody's who has just begun.
                if place.get_modified_time(path) >= old:
                    continue
                sha256 = tombstone_key(sha256)
            rows.append(Blob(sha256=sha256, path=path, size=place.size(path), touched_at=moment))
    with faults.around("orphans"):
        Blob.objects.using(using).bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _top_folders(place: Storage) -> list[str]:
    return [name for name in sorted(_list(place, "")[0]) if FOLDER.fullmatch(name)]


def _folders(place: Storage, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in sorted(_list(place, folder)[0]) if FOLDER.fullmatch(name)]


def _list(place: Storage, folder: str) -> tuple[list[str], list[str]]:
    with artifacts.storage_errors(f"listing {folder or 'the storage'}"):
        try:
            return place.listdir(folder)
        except FileNotFoundError:
            return [], []


def _remove_drafts(place: Storage, cutoff: dt.datetime) -> None:
    for name in _list(place, artifacts.ASIDE)[1]:
        path = f"{artifacts.ASIDE}/{name}"
        with artifacts.storage_errors(f"removing {path}"):
            if place.get_modified_time(path) < cutoff:
                place.delete(path)
