"""Give an item a file from outside, beside those that its steps make."""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from django.db.models import Sum

from runtime import faults, scanning
from runtime.artifacts import Prepared
from runtime.choices import EventKind
from runtime.conf import settings as roost
from runtime.exceptions import TooLarge
from runtime.models import Artifact, WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store import blobs
from runtime.store.transactions import transacted
from runtime.store.values import Move, NewArtifact


class Attach(ItemOperation):
    """Add a file that `artifacts.prepare()` checked to an item in whatever state it is; a running step goes on.

    It belongs to the version that the item is at. The bytes are stored first, where those of steps are; a refusal
    leaves bytes that are swept later. The same file again, while the item is at that version, changes nothing. An item
    has no more bytes of files than `ROOST_MAX_ITEM_ARTIFACT_BYTES`, if files come this way.
    """

    verb = _("attach a file")
    participle = _("given this file")
    permission = "upload_artifact"

    def __init__(self, item: uuid.UUID | str, prepared: Prepared, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.prepared = prepared

    def decide(self, item: WorkItem) -> Move | None:
        """Return None for a file that is there. Raises `Conflict` for a name that is taken, `TooLarge`."""
        there = self._there(item)
        if there is not None:
            if there.sha256 == self.prepared.sha256:
                return None
            hint = _(
                "Its version %(version)s has another file %(name)r. Give this one another name.",
                version=item.version,
                name=self.prepared.name,
            )
            raise self.conflict(item, hint)
        self._require_room(item)
        said: dict[str, Any] = {name: getattr(self.prepared, name) for name in ("name", "sha256", "size", "kind")}
        return Move(kind=EventKind.UPLOADED, data=said)

    def keep(self) -> NewArtifact:
        """Store the bytes, if the item may have them, and return what `attach` writes. Raises what it raises."""
        self.check()
        scanning.scan(self.prepared)
        return blobs.store(self.store.using, self.prepared)

    def attach(self, kept: NewArtifact | None = None) -> tuple[Artifact, bool]:
        """Do it; return the file and whether it is new. One transaction after the bytes; joins the caller's.

        Whoever has a transaction open stores the bytes before it with `keep`. Raises `NotFound`, `Conflict`,
        `StaleVersion`, `TooLarge`, `Forbidden`, `StorageUnavailable`.
        """
        stored = self.keep() if kept is None else kept

        def once() -> tuple[Artifact, bool]:
            item = self.execute()
            there = self._there(item)
            return (there, False) if there is not None else (self._write(item, stored), True)

        with faults.around("attach"):
            return transacted(self.store.using, once)

    def _there(self, item: WorkItem) -> Artifact | None:
        rows = Artifact.objects.using(self.store.using)
        found: Artifact | None = rows.filter(work_item=item.pk, version=item.version, name=self.prepared.name).first()
        return found

    def _require_room(self, item: WorkItem) -> None:
        most: int | None = roost.MAX_ITEM_ARTIFACT_BYTES
        if most is None:
            return
        rows = Artifact.objects.using(self.store.using).filter(work_item=item.pk)
        has = rows.aggregate(bytes=Sum("size"))["bytes"] or 0
        if has + self.prepared.size > most:
            raise TooLarge(
                _(
                    "Work item %(item)s has %(has)s bytes of files; with %(size)s more it would have more than "
                    "ROOST_MAX_ITEM_ARTIFACT_BYTES allows (%(most)s).",
                    item=item.pk,
                    has=has,
                    size=self.prepared.size,
                    most=most,
                ),
                field="file",
            )

    def _write(self, item: WorkItem, kept: NewArtifact) -> Artifact:
        made: Artifact = Artifact.objects.using(self.store.using).create(
            id=kept.id,
            work_item_id=item.pk,
            version=item.version,
            name=kept.name,
            kind=kept.kind,
            content_type=kept.content_type,
            size=kept.size,
            blob_id=kept.sha256,
            metadata={},
            created_at=self.now(),
        )
        return made


def attach(item: uuid.UUID | str, prepared: Prepared, **options: Unpack[MoveOptions]) -> tuple[Artifact, bool]:
    """Give the item a file; return it, and whether it is new. See `Attach`."""
    return Attach(item, prepared, **options).attach()
