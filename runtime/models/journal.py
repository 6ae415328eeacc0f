"""Calls that steps made, and what came of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.choices import JournalState
from runtime.models.workitem import WorkItem


class JournalEntry(models.Model):
    """One call under one key: written before the call is made, and again when its result is known.

    `base_version` is the version of the snapshot that the step started from, so that a retry of the step finds the
    entry and the next step does not; WHOLE_RUN for a key that lasts as long as the item. An entry that stays
    `started` although nobody makes the call any more is in doubt: the call may have happened. `epoch` is that of the
    owner who began the last attempt and `call_id` is that attempt's own: only it may write how it ended. `name` is the
    tool's or the callee's; `attempts` counts the calls made. Results are kept here and nowhere else.
    """

    id = models.BigAutoField(primary_key=True)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="journal", db_index=False, verbose_name=_("work item")
    )
    base_version = models.BigIntegerField(_("from version"))
    key = models.CharField(_("key"), max_length=200)
    name = models.CharField(_("what is called"), max_length=200, default="", blank=True)
    input_hash = models.CharField(_("hash of the input"), max_length=64)
    idempotency_key = models.CharField(_("idempotency key"), max_length=300)
    state = models.CharField(_("state"), max_length=10, choices=JournalState.choices, default=JournalState.STARTED)
    attempts = models.IntegerField(_("calls made"), default=1)
    result = models.JSONField(_("result"), null=True, blank=True)
    error = models.JSONField(_("last error"), null=True, blank=True)
    epoch = models.BigIntegerField(_("epoch"))
    call_id = models.UUIDField(_("last attempt"), editable=False)
    started_at = models.DateTimeField(_("last call began"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        db_table = "roost_journalentry"
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["work_item", "base_version", "key"], name="roost_journal_key"),
            models.CheckConstraint(condition=models.Q(state__in=JournalState.values), name="roost_journal_state"),
        ]
        indexes = [models.Index(fields=["name", "started_at"], name="roost_journal_name")]
        permissions = [("reset_journal", "Can have recorded calls forgotten")]

    def __str__(self) -> str:
        return f"{self.work_item_id} {self.key}"
