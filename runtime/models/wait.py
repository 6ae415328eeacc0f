"""What a waiting item waits for, and the mailbox of signals."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.choices import WaitKind, WaitState
from runtime.models.versioned import Versioned
from runtime.models.workitem import WorkItem, new_id


class Wait(Versioned):
    """One thing that an item waits for: a person's approval or input, a signal, children, or a time.

    Asked for under `key` by the step that starts from Snapshot `base_version`; the commit that makes the next version
    consumes the answers, once. `data` holds what is to be approved, the children, or the signal's name. An approval
    needs `quorum` different people; one rejection is enough to reject. `answers` are the votes so far, `resolution`
    is what the step gets. Past `expires_at` the default is the answer, or the item fails if it has none. With
    `needed` "any" the item goes on as soon as this is answered, with "all" when all of these are; it is empty when the
    step has come further and waits for something else now. `spawned` are the children that the step had enqueued when
    it asked: run again, it gets them instead of new ones.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="waits", db_index=False, verbose_name=_("work item")
    )
    base_version = models.BigIntegerField(_("from version"))
    key = models.CharField(_("key"), max_length=200)
    kind = models.CharField(_("kind"), max_length=10, choices=WaitKind.choices)
    state = models.CharField(_("state"), max_length=10, choices=WaitState.choices, default=WaitState.OPEN)
    needed = models.CharField(_("needed"), max_length=3, default="all", blank=True)
    prompt = models.TextField(_("question"), default="", blank=True)
    schema = models.JSONField(_("schema of the answer"), null=True, blank=True)
    data = models.JSONField(_("details"), null=True, blank=True)
    signal_name = models.CharField(_("signal"), max_length=200, default="", blank=True)
    quorum = models.PositiveIntegerField(_("approvals needed"), default=1)
    on_reject = models.CharField(_("when rejected"), max_length=10, default="answer")
    has_default = models.BooleanField(_("has a default answer"), default=False)
    default = models.JSONField(_("default answer"), null=True, blank=True)
    answers = models.JSONField(_("votes"), default=list, blank=True)
    resolution = models.JSONField(_("answer"), null=True, blank=True)
    resolved_by = models.CharField(_("answered by"), max_length=200, default="", blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("asked at"))
    resolved_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    consumed_version = models.BigIntegerField(_("consumed by version"), null=True, blank=True)
    spawned = models.JSONField(_("children spawned before it was asked"), default=list, blank=True, editable=False)

    class Meta:
        db_table = "roost_wait"
        verbose_name = _("wait")
        verbose_name_plural = _("waits")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["work_item", "base_version", "key"], name="roost_wait_key"),
            models.CheckConstraint(condition=Q(state__in=WaitState.values), name="roost_wait_state"),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(state=WaitState.OPEN, expires_at__isnull=False),
                name="roost_wait_expiry",
            ),
            models.Index(
                fields=["signal_name", "id"],
                condition=Q(state=WaitState.OPEN, kind=WaitKind.SIGNAL),
                name="roost_wait_signal",
            ),
            models.Index(fields=["kind", "id"], condition=Q(state=WaitState.OPEN), name="roost_wait_open"),
        ]
        permissions = [
            ("respond_wait", "Can answer inputs"),
            ("approve_wait", "Can approve and reject"),
        ]

    def __str__(self) -> str:
        return f"{self.work_item_id} {self.key}"


class Mailbox(models.Model):
    """The row that both sides lock, a signal for a name and an item that waits for it."""

    id = models.BigAutoField(primary_key=True)
    namespace = models.CharField(_("namespace"), max_length=100)
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        db_table = "roost_mailbox"
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        constraints = [models.UniqueConstraint(fields=["namespace", "name"], name="roost_mailbox_name")]

    def __str__(self) -> str:
        return self.name


class Signal(models.Model):
    """A message for an item (`target`), or for whoever waits for the name in the namespace; kept until it is taken.

    The wait that takes it gets its payload; `consumed_version` is the version that the taking item's next step made.
    A second signal with the same `delivery_id` is the first one.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    namespace = models.CharField(_("namespace"), max_length=100)
    target = models.ForeignKey(
        WorkItem, models.CASCADE, null=True, blank=True, related_name="signals", verbose_name=_("to the work item")
    )
    name = models.CharField(_("name"), max_length=200)
    payload = models.JSONField(_("payload"), null=True, blank=True)
    delivery_id = models.CharField(_("delivery id"), max_length=200, null=True, blank=True)
    actor = models.CharField(_("sent by"), max_length=200, default="", blank=True)
    created_at = models.DateTimeField(_("sent at"))
    taken_by = models.ForeignKey(
        Wait, models.SET_NULL, null=True, blank=True, related_name="signals", verbose_name=_("taken by the wait")
    )
    consumed_version = models.BigIntegerField(_("consumed by version"), null=True, blank=True)

    class Meta:
        db_table = "roost_signal"
        verbose_name = _("signal")
        verbose_name_plural = _("signals")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "delivery_id"],
                condition=Q(delivery_id__isnull=False),
                name="roost_signal_delivery",
            )
        ]
        indexes = [
            models.Index(
                fields=["namespace", "name", "id"], condition=Q(taken_by__isnull=True), name="roost_signal_free"
            )
        ]
        permissions = [("send_signal", "Can send signals to work items")]

    def __str__(self) -> str:
        return self.name
