"""Append-only history and audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import gettext_lazy as _

from runtime.choices import EventKind, Reason
from runtime.models.workitem import WorkItem


class CurrentTransaction(models.Func):
    """The id of the writing transaction on PostgreSQL; 0 where the database has none."""

    template = "0"
    arity = 0
    output_field = models.BigIntegerField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Compile to `pg_current_xact_id()`."""
        return super().as_sql(compiler, connection, template="pg_current_xact_id()", **extra)


if TYPE_CHECKING:
    _IntegerField = models.BigIntegerField[int, int]
else:
    _IntegerField = models.BigIntegerField


class TransactionIdField(_IntegerField):
    """`xid8` on PostgreSQL (64 bits, never wraps), bigint elsewhere."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the column type."""
        return "xid8" if connection.vendor == "postgresql" else "bigint"

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> int | None:
        """Return the id as a number."""
        return None if value is None else int(value)


class Event(models.Model):
    """One thing that happened to an item. `seq` is gap-free per item, counted by the item's `event_seq`.

    `tx` orders events over many items: ids commit out of order, so a reader's cursor is a PostgreSQL snapshot
    (`pg_snapshot`) and its next page what that snapshot could not see. On SQLite the row id is the order.
    """

    id = models.BigAutoField(primary_key=True)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="events", db_index=False, verbose_name=_("work item")
    )
    seq = models.BigIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=30, choices=EventKind.choices)
    version = models.BigIntegerField(_("version"))
    epoch = models.BigIntegerField(_("epoch"))
    attempt = models.IntegerField(_("attempt"), default=0)
    worker = models.UUIDField(_("worker"), null=True, blank=True)
    actor = models.CharField(_("actor"), max_length=200, default="", blank=True)
    reason = models.CharField(_("reason"), max_length=500, default="", blank=True)
    data = models.JSONField(_("data"), null=True, blank=True)
    duration = models.FloatField(_("duration (s)"), null=True, blank=True)
    created_at = models.DateTimeField(_("at"))
    tx = TransactionIdField(_("transaction"), editable=False, db_default=CurrentTransaction())

    class Meta:
        db_table = "roost_event"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["work_item", "seq"], name="roost_event_seq")]
        indexes = [models.Index(fields=["tx"], name="roost_event_tx")]

    def __str__(self) -> str:
        return f"{self.work_item_id} #{self.seq} {self.kind}"

    @property
    def reason_text(self) -> str:
        """The reason in words: a known reason's label, or what the operator wrote."""
        return str(Reason(self.reason).label) if self.reason in Reason.values else self.reason
