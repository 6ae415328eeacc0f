"""Work that starts by the clock."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.choices import CatchUp, ScheduleKind
from runtime.models.versioned import Versioned
from runtime.models.workitem import new_id


class Schedule(Versioned):
    """What is enqueued, and when; the row that whoever fires it locks.

    `next_run` is the first intended time that has not been fired yet, `fire_at` when to look at it: the same, or later
    after an attempt that failed. A firing enqueues its item in the transaction that moves both on, under the
    idempotency key `schedule:<id>:<intended time>`: there is no moment at which a crash could lose or double one.
    `anchor` is the time of a `once`, and what an interval counts from. `row_version` counts an operator's edits;
    firings leave it alone.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    namespace = models.CharField(_("namespace"), max_length=100, default="default")
    name = models.CharField(_("name"), max_length=100)
    engine = models.CharField(_("engine"), max_length=100)
    payload = models.JSONField(_("payload"), null=True, blank=True)
    options = models.JSONField(
        _("options"), default=dict, blank=True, help_text=_("Of the items: priority, pool, resources and so on.")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=ScheduleKind.choices)
    cron = models.CharField(_("cron text"), max_length=100, default="", blank=True)
    timezone = models.CharField(_("time zone"), max_length=100, default="UTC", blank=True)
    every = models.FloatField(_("interval (s)"), null=True, blank=True)
    anchor = models.DateTimeField(_("at, or counted from"), null=True, blank=True)
    catch_up = models.CharField(_("missed times"), max_length=10, choices=CatchUp.choices, default=CatchUp.LAST)
    time_field = models.CharField(
        _("field for the time"),
        max_length=100,
        default="",
        blank=True,
        help_text=_("Field of the payload that gets the intended time; none if empty."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)

    next_run = models.DateTimeField(_("next run"), null=True, editable=False)
    fire_at = models.DateTimeField(_("looked at again"), null=True, editable=False)
    last_run = models.DateTimeField(_("last run"), null=True, editable=False)
    last_item = models.UUIDField(_("last work item"), null=True, editable=False)
    fired_total = models.BigIntegerField(_("firings"), default=0, editable=False)
    skipped_at = models.DateTimeField(_("last time that runs were left out"), null=True, editable=False)
    failures = models.IntegerField(_("failed attempts of this firing"), default=0, editable=False)
    error = models.TextField(_("why it could not fire"), default="", blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), editable=False)
    updated_at = models.DateTimeField(_("updated at"), editable=False)

    class Meta:
        db_table = "roost_schedule"
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ["namespace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["namespace", "name"], name="roost_schedule_name"),
            models.CheckConstraint(
                condition=Q(kind=ScheduleKind.CRON) & ~Q(cron="")
                | Q(kind=ScheduleKind.INTERVAL, every__isnull=False, every__gt=0, anchor__isnull=False)
                | Q(kind=ScheduleKind.ONCE, anchor__isnull=False),
                name="roost_schedule_times",
            ),
        ]
        indexes = [
            models.Index(
                fields=["fire_at"], condition=Q(enabled=True, fire_at__isnull=False), name="roost_schedule_due"
            )
        ]
        permissions = [("run_schedule", "Can run schedules now")]

    def __str__(self) -> str:
        return self.name
