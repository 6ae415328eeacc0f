"""Find the users of the product, whatever its user model is like."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model


def active_user(number: Any) -> Any | None:
    """Return the user with this primary key, None for one who is gone or may not log in any more.

    `is_active` is an attribute of every user model, and a column of most.
    """
    found: Any = get_user_model()._default_manager.filter(pk=number).first()
    return found if found is not None and found.is_active else None
