"""Decide who may hear of changes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

WATCH = "roost.view_workitem"


def may_watch(session: Any) -> bool:
    """Say whether the session is still good and its user active, staff and allowed to see items.

    Reads session, user and permissions afresh: a socket lives on after a log-out or a lost permission.
    """
    key = getattr(session, "session_key", None)
    if not key:
        return False
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return bool(user.is_active and getattr(user, "is_staff", False) and user.has_perm(WATCH))
