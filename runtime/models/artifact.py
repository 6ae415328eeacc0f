"""Files that steps read and write."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.choices import ArtifactKind
from runtime.models.versioned import Versioned
from runtime.models.workitem import WorkItem, new_id


class Blob(models.Model):
    """Bytes in the artifact storage, once per content. The row exists before the bytes do.

    Whoever stores content touches the row first, in a transaction of its own; whoever sweeps makes sure that no
    artifact and no value refers to it, and puts a tombstone in its place (its key begins with `gone`) until the bytes
    are removed. So a crash leaves at worst an untouched row, and content is never removed under somebody who has just
    found it there: see `runtime.store.blobs`.
    """

    sha256 = models.CharField(_("sha256"), primary_key=True, max_length=64)
    size = models.BigIntegerField(_("size (bytes)"))
    path = models.CharField(_("name in the storage"), max_length=200)
    touched_at = models.DateTimeField(_("last stored at"), db_index=True)

    class Meta:
        db_table = "roost_blob"
        verbose_name = _("stored content")
        verbose_name_plural = _("stored contents")

    def __str__(self) -> str:
        return self.sha256


class Artifact(Versioned):
    """A named file of an item: made by the step that committed `version`, or uploaded while the item was at it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="artifacts", db_index=False, verbose_name=_("work item")
    )
    version = models.BigIntegerField(_("version"))
    name = models.CharField(_("name"), max_length=255)
    kind = models.CharField(_("kind"), max_length=10, choices=ArtifactKind.choices, default=ArtifactKind.OTHER)
    content_type = models.CharField(_("content type"), max_length=100, default="application/octet-stream")
    size = models.BigIntegerField(_("size (bytes)"))
    blob = models.ForeignKey(
        Blob, models.PROTECT, db_column="sha256", related_name="artifacts", verbose_name=_("sha256")
    )
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "roost_artifact"
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["work_item", "version", "name"], name="roost_artifact_name")]
        permissions = [("upload_artifact", "Can upload artifacts to work items")]

    def __str__(self) -> str:
        return self.name

    @property
    def sha256(self) -> str:
        """The content's sha256, as hex."""
        return str(self.blob_id)
