"""The durable unit of work."""

from __future__ import annotations

import uuid

import uuid_utils.compat
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.choices import LIVE, PARKED, SUSPECT_DEATHS, Reason, State
from runtime.models.versioned import Versioned


def new_id() -> uuid.UUID:
    """Return a new UUIDv7: ids sort by the time they were made."""
    return uuid_utils.compat.uuid7()


# Items that may be claimed, each in one of three indexes, so that no kind stands in front of another.
_CLAIMABLE = Q(state=State.QUEUED) & ~Q(reason__in=sorted(PARKED))
_PLAIN = _CLAIMABLE & Q(limited=False, deaths__lt=SUSPECT_DEATHS)
_LIMITED = _CLAIMABLE & Q(limited=True, deaths__lt=SUSPECT_DEATHS)
_SUSPECT = _CLAIMABLE & Q(deaths__gte=SUSPECT_DEATHS)

_MAY_GO = Q(finished_at__isnull=False, legal_hold=False) & (Q(parent__isnull=True) | Q(relation="trigger"))


class WorkItem(Versioned):
    """One piece of work for one engine, from enqueue to its end.

    Three numbers, each with one meaning: `version` counts committed steps; `epoch` is the fencing token and moves
    only when ownership does; `row_version` counts writes to the row. Change rows through operations only.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    namespace = models.CharField(_("namespace"), max_length=100, default="default")
    engine = models.CharField(_("engine"), max_length=100)
    engine_version = models.CharField(_("engine version"), max_length=50, default="1")
    pool = models.CharField(_("worker pool"), max_length=100, default="default")
    payload = models.JSONField(_("payload"), null=True, blank=True)
    config = models.JSONField(_("configuration at enqueue"), null=True, blank=True)
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher is sooner."))
    fair_key = models.CharField(_("fairness key"), max_length=200, default="", blank=True)
    resources = models.JSONField(_("resources"), default=list, blank=True)
    limited = models.BooleanField(_("takes the limited path of the claim"), default=False, editable=False)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    reason = models.CharField(_("reason"), max_length=30, choices=Reason.choices, default=Reason.NEW, blank=True)
    paused_from = models.CharField(_("state before the pause"), max_length=10, default="", blank=True)
    pause_requested = models.BooleanField(_("pause at the end of the running step"), default=False, editable=False)
    step_label = models.CharField(_("last step"), max_length=200, default="", blank=True)
    asked = models.BooleanField(_("has waits that no step has consumed"), db_default=False, editable=False)
    run_at = models.DateTimeField(_("due at"))
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)

    attempt = models.IntegerField(_("failed attempts of this step"), default=0)
    max_attempts = models.IntegerField(_("attempts allowed"))
    deaths = models.IntegerField(_("workers lost in a row"), default=0)
    max_steps = models.BigIntegerField(_("steps allowed"), null=True, blank=True)
    pause_at_step = models.BigIntegerField(_("pauses after step"), null=True, blank=True)
    step_timeout = models.FloatField(_("step timeout (s)"), null=True, blank=True)
    item_timeout = models.FloatField(_("item timeout (s)"), null=True, blank=True)
    timeout_at = models.DateTimeField(_("times out at"), null=True, blank=True)
    away_since = models.DateTimeField(_("waiting or paused since"), null=True, blank=True)

    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
        verbose_name=_("parent"),
    )
    relation = models.CharField(_("relation to the parent"), max_length=50, default="", blank=True)
    forked_from = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="forks",
        db_index=False,
        verbose_name=_("forked from"),
    )
    forked_version = models.BigIntegerField(_("forked at version"), null=True, blank=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=200, null=True, blank=True)

    result = models.JSONField(_("result"), null=True, blank=True)
    last_error = models.JSONField(_("last error"), null=True, blank=True)
    fingerprint = models.CharField(_("error fingerprint"), max_length=64, default="", blank=True)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, blank=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=200, default="", blank=True)

    event_seq = models.BigIntegerField(_("last event"), default=0, editable=False)
    version = models.BigIntegerField(_("version (steps committed)"), default=0)
    epoch = models.BigIntegerField(_("epoch (fencing token)"), default=0)

    snapshots_dropped = models.BigIntegerField(
        _("snapshots that its policy did not keep"), default=0, db_default=0, editable=False
    )
    steps_total = models.BigIntegerField(_("steps run"), default=0)
    duration_total = models.FloatField(_("time in steps (s)"), default=0.0)
    away_total = models.FloatField(_("time waiting and paused (s)"), default=0.0)
    tokens_total = models.BigIntegerField(_("tokens"), default=0)
    cost_total = models.BigIntegerField(_("cost (microdollars)"), default=0)
    legal_hold = models.BooleanField(_("on legal hold"), db_default=False, editable=False)

    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("first claimed at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"))

    class Meta:
        db_table = "roost_workitem"
        verbose_name = _("work item")
        verbose_name_plural = _("work items")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="roost_item_idempotency",
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="roost_item_state"),
            models.CheckConstraint(
                condition=Q(version__gte=0, epoch__gte=0, attempt__gte=0, deaths__gte=0, event_seq__gte=0),
                name="roost_item_counts",
            ),
        ]
        indexes = [
            models.Index(models.F("priority").desc(), "run_at", "id", condition=_PLAIN, name="roost_item_due"),
            models.Index(models.F("priority").desc(), "run_at", "id", condition=_LIMITED, name="roost_item_limited"),
            models.Index(
                models.F("priority").desc(),
                *("fair_key", "engine", "namespace", "pool", "run_at", "id"),
                condition=_PLAIN,
                name="roost_item_lane",
            ),
            models.Index(models.F("priority").desc(), "run_at", "id", condition=_SUSPECT, name="roost_item_suspect"),
            models.Index(
                fields=["id"],
                condition=Q(state=State.QUEUED, reason__in=sorted(PARKED)),
                name="roost_item_parked",
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(state__in=[State.QUEUED, State.WAITING, State.PAUSED], deadline_at__isnull=False),
                name="roost_item_deadline",
            ),
            models.Index(
                fields=["timeout_at"],
                condition=Q(state__in=[State.QUEUED, State.RUNNING], timeout_at__isnull=False),
                name="roost_item_timeout",
            ),
            models.Index(
                fields=["namespace", "fingerprint", "finished_at"],
                condition=Q(state=State.FAILED),
                name="roost_item_dead",
            ),
            models.Index(fields=["id"], condition=Q(state=State.PAUSED, reason=Reason.HELD), name="roost_item_held"),
            # Those that pruning looks at: a child comes in when its parent has gone, and may stay for ever.
            models.Index(fields=["state", "finished_at", "id"], condition=_MAY_GO, name="roost_item_ended"),
            models.Index(fields=["parent"], condition=Q(parent__isnull=False), name="roost_item_parent"),
            # For lists, newest first. The conditions always hold, as PostgreSQL can tell; SQLite cannot, and so does
            # not prefer these indexes to those that the claim and the sweep are meant to use.
            models.Index(fields=["state", "id"], condition=Q(state__gt=""), name="roost_item_state"),
            models.Index(fields=["engine", "id"], condition=Q(engine__gt=""), name="roost_item_engine"),
            models.Index(fields=["id"], condition=Q(state=State.QUEUED, attempt__gt=0), name="roost_item_retry"),
            # Costs nothing where everything is in the default namespace; else the list of a small one would be read
            # out of everybody's, and the namespaces there are could be named only by reading the whole table.
            models.Index(fields=["namespace", "id"], condition=~Q(namespace="default"), name="roost_item_namespace"),
            models.Index(fields=["id"], condition=Q(deaths__gte=SUSPECT_DEATHS), name="roost_item_deaths"),
            models.Index(fields=["forked_from"], condition=Q(forked_from__isnull=False), name="roost_item_forked"),
        ]
        permissions = [
            ("enqueue_workitem", "Can enqueue work items"),
            ("cancel_workitem", "Can cancel work items"),
            ("requeue_workitem", "Can requeue work items"),
            ("redrive_workitem", "Can redrive dead letters"),
            ("follow_up_workitem", "Can reopen ended work items with new input"),
            ("pause_workitem", "Can pause work items"),
            ("resume_workitem", "Can resume work items"),
            ("fork_workitem", "Can fork work items"),
            ("import_workitem", "Can import runs"),
            ("release_workitem", "Can release leases and claims"),
            ("acknowledge_workitem", "Can acknowledge dead letters"),
            ("prioritise_workitem", "Can change the priority of work items"),
            ("hold_workitem", "Can put work items on legal hold and lift it"),
            ("prune_workitem", "Can prune ended work items"),
            ("view_payload", "Can read payloads, snapshots, results and artifacts"),
        ]

    def __str__(self) -> str:
        return f"{self.engine} {self.id}"

    @property
    def is_live(self) -> bool:
        """Whether the item has not ended yet."""
        return self.state in LIVE
