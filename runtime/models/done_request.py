"""What was asked for under a key and is done: whoever asks again, because the answer was lost, is told so."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class DoneRequest(models.Model):
    """A request with an Idempotency-Key, written in the transaction that did what it asked for.

    Keys and requests are kept as hashes alone. `about` says what to answer with: ids, never contents. Rows older than
    `ROOST_API_KEY_SECONDS` are removed by those that come.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(_("SHA-256 of who asked under which key"), max_length=64, unique=True)
    asked = models.CharField(_("SHA-256 of what was asked"), max_length=64)
    about = models.JSONField(_("about"), null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), db_index=True)

    class Meta:
        db_table = "roost_done_request"
        verbose_name = _("done request")
        verbose_name_plural = _("done requests")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key[:12]
