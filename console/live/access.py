"""Decide who may hear of changes, and of whose."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from console.callers import Caller

WATCH = "roost.view_workitem"


def who_may_watch(session: Any) -> Caller | None:
    """Return whose session it is, None unless it is good and its user active, staff and allowed to see items.

    Reads session, user, permissions and namespaces afresh: a socket lives on after a log-out or a lost permission.
    """
    key = getattr(session, "session_key", None)
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    allowed = user.is_active and getattr(user, "is_staff", False) and user.has_perm(WATCH)
    return Caller.of_user(user) if allowed else None
