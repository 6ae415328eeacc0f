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


def test_while_the_sender_is_there_nobody_else_sends(
    sent: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "LINGER_SECONDS", 1.0)
    coalescer = wake._Coalescer()
    coalescer.hint("default")
    coalescer.hint("default")
    for count, using in ((3, "default"), (4, "other")):
        eventually(5, lambda count=count: len(sent) == count - 1, "the hints before")
        time.sleep(2 * wake.COALESCE_SECONDS)
        coalescer.hint(using)
        eventually(5, lambda count=count: len(sent) == count, "a hint that need not wait")
    assert [thread == threading.get_ident() for _at, thread in sent] == [True, False, False, False]


def test_a_hint_that_fails_does_not_end_the_sender(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wake, "LINGER_SECONDS", 1.0)
    caplog.set_level("INFO", "roost.wake")
    tried: list[int] = []

    def refuse(using: str, payload: str) -> None:
        tried.append(threading.get_ident())
        if len(tried) == 2:
            raise RuntimeError("no database here")

    monkeypatch.setattr(wake, "notify", refuse)
    coalescer = wake._Coalescer()
    coalescer.hint("default")
    coalescer.hint("default")
    eventually(5, lambda: "a hint could not be sent" in caplog.text, "a word of the failure")
    coalescer.hint("default")
    eventually(5, lambda: len(tried) == 3, "the next hint")
    assert tried[1] == tried[2]


def test_a_hint_after_the_sender_ended_is_sent(sent: list[tuple[float, int]]) -> None:
    coalescer = wake._Coalescer()
    for rounds in (2, 4):
        coalescer.hint("default")
        coalescer.hint("default")
        eventually(5, lambda rounds=rounds: len(sent) == rounds, "both hints")
        eventually(5, lambda: coalescer._sender is None, "the sender's end")
