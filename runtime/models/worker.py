"""A worker process."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.choices import WorkerState
from runtime.models.versioned import Versioned
from runtime.models.workitem import new_id


class Worker(Versioned):
    """One process that runs steps. `id` is made anew at each start, so a reused host name or pid hides nothing.

    Host, boot id, PID namespace, pid and start time say for certain whether the process still exists, to those on
    the same machine; `lock_key` is the session-level advisory lock that says so to everybody on PostgreSQL.
    `versions` has "release" (`ROOST_RELEASE`, if it says one), "roost", "django" and "python".
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host = models.CharField(_("host"), max_length=255)
    boot_id = models.CharField(_("boot id"), max_length=64, default="", blank=True)
    pid_namespace = models.CharField(_("PID namespace"), max_length=64, default="", blank=True)
    pid = models.IntegerField(_("process id"))
    process_started = models.CharField(_("process start time"), max_length=64, default="", blank=True)
    lock_key = models.BigIntegerField(_("advisory lock"), null=True, blank=True)
    backend_pids = models.JSONField(_("database sessions"), default=list, blank=True)
    engines = models.JSONField(_("engines"), default=list, blank=True)
    pools = models.JSONField(_("pools"), default=list, blank=True)
    versions = models.JSONField(
        _("versions"), default=dict, db_default=models.Value({}, output_field=models.JSONField()), blank=True
    )
    capacity = models.IntegerField(_("items at once"), default=1)
    state = models.CharField(_("state"), max_length=10, choices=WorkerState.choices, default=WorkerState.ONLINE)
    desired_state = models.CharField(
        _("wanted state"), max_length=10, choices=WorkerState.choices, default=WorkerState.ONLINE
    )
    started_at = models.DateTimeField(_("started at"))
    heartbeat_at = models.DateTimeField(_("last heartbeat"))
    stopped_at = models.DateTimeField(_("stopped at"), null=True, blank=True)

    class Meta:
        db_table = "roost_worker"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["-started_at"]
        indexes = [
            models.Index(
                fields=["heartbeat_at"],
                condition=~models.Q(state=WorkerState.OFFLINE),
                name="roost_worker_alive",
            )
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
