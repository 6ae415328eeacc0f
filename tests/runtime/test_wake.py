"""Hints are few, and the last one always goes out."""

from __future__ import annotations

import threading
import time

import pytest

from runtime import wake
from tests.processes.tree import eventually


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When each notice went out, and by which thread."""
    found: list[tuple[float, int]] = []
    monkeypatch.setattr(wake, "notify", lambda using, payload: found.append((time.monotonic(), threading.get_ident())))
    return found


@pytest.mark.scenario("L18")
def test_a_burst_of_hints_is_coalesced_and_the_trailing_one_is_sent(sent: list[tuple[float, int]]) -> None:
    coalescer = wake._Coalescer()
    start = time.monotonic()
    while time.monotonic() - start < 0.1:
        coalescer.hint("default")
    last = time.monotonic()
    eventually(5, lambda: sent[-1][0] >= last or not coalescer._waiting, "the trailing hint")
    assert sent[-1][0] >= last - wake.COALESCE_SECONDS
    assert 2 <= len(sent) <= 0.1 / wake.COALESCE_SECONDS + 3


def test_the_hints_of_a_burst_share_one_sender_which_ends_after_it(
    sent: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "LINGER_SECONDS", 1.0)
    coalescer = wake._Coalescer()
    for count in range(2, 6):
        coalescer.hint("default")
        coalescer.hint("default")
        eventually(5, lambda count=count: len(sent) >= count, "a hint")
    assert len({thread for _at, thread in sent[1:]} - {threading.get_ident()}) == 1
    eventually(5, lambda: coalescer._sender is None, "the sender's end")


def test_a_hint_after_the_sender_ended_is_sent(sent: list[tuple[float, int]]) -> None:
    coalescer = wake._Coalescer()
    for rounds in (2, 4):
        coalescer.hint("default")
        coalescer.hint("default")
        eventually(5, lambda rounds=rounds: len(sent) == rounds, "both hints")
        eventually(5, lambda: coalescer._sender is None, "the sender's end")
