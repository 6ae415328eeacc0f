"""A product's own user model is enough."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from console.accounts import active_user


def test_a_user_model_needs_no_column_that_says_who_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    ann: Any = SimpleNamespace(is_active=True)
    rows = SimpleNamespace(first=lambda: ann)
    people = SimpleNamespace(_default_manager=SimpleNamespace(filter=lambda *, pk: rows))
    monkeypatch.setattr("console.accounts.get_user_model", lambda: people)
    assert active_user(7) is ann
    ann.is_active = False
    assert active_user(7) is None
