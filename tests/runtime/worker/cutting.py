"""Cut a COMMIT off from its answer."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper


def lose_session_at_commit(monkeypatch: pytest.MonkeyPatch, *, applied: bool, thread: str = "") -> list[bool]:
    """Have the next COMMIT lose its session, after it was carried out or before; return a list that tells if it did.

    The next one of a thread whose name begins with `thread`.
    """
    lost: list[bool] = []
    commit = BaseDatabaseWrapper._commit

    def cut_off(self: BaseDatabaseWrapper) -> None:
        if lost or not threading.current_thread().name.startswith(thread):
            commit(self)
            return
        lost.append(True)
        if applied:
            commit(self)
        self.connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", cut_off)
    return lost
