"""The people of the soak: one who approves, and answers for calls in doubt by what the service knows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from runtime.models import Wait
from runtime.operations.approve import approve
from runtime.operations.respond import respond
from tests.processes.service import Service


def answer_all(service: Service) -> None:
    """Answer whatever is asked of a person now."""
    asked = Wait.objects.filter(state="open", kind__in=["approval", "input"]).select_related("work_item")
    for wait in asked.order_by("created_at")[:100]:
        if wait.kind == "approval":
            approve(wait.work_item_id, wait.key, actor="bot")
        else:
            respond(wait.work_item_id, wait.key, value=_happened(service, wait), actor="bot")


def _happened(service: Service, wait: Wait) -> dict[str, Any]:
    assert wait.key.startswith("journal:pay"), wait.key
    path = f"{urlsplit(wait.work_item.payload['service']).path}/payments"
    return {"happened": True, "result": {"id": "payments-1"}} if service.made(path) else {"happened": False}
