"""Hints are few, and the last one always goes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, connections

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
    monkeypatch.setattr(wake, "LINGER_SECONDS", 5.0)
    monkeypatch.setattr(wake, "COALESCE_SECONDS", 0.1)
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
    monkeypatch.setattr(wake, "LINGER_SECONDS", 5.0)
    monkeypatch.setattr(wake, "COALESCE_SECONDS", 0.1)
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


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """Have every sender but this thread wait for the event; give it, and by which threads hints were tried."""
    monkeypatch.setattr(wake, "LINGER_SECONDS", 5.0)
    monkeypatch.setattr(wake, "COALESCE_SECONDS", 0.1)
    free, tried = threading.Event(), []

    def wait(using: str, payload: str) -> None:
        tried.append(threading.get_ident())
        if threading.current_thread().name == "roost-wake":
            free.wait(10)

    monkeypatch.setattr(wake, "notify", wait)
    yield free, tried
    free.set()


def test_a_sender_that_does_not_get_on_is_left_alone(slow: tuple[threading.Event, list[int]]) -> None:
    free, tried = slow
    coalescer = wake._Coalescer()
    coalescer.hint("default")
    coalescer.hint("default")
    eventually(5, lambda: len(tried) == 2, "the sender's hint")
    time.sleep(2 * wake.STUCK_SECONDS)
    coalescer.hint("default")
    coalescer.hint("other")
    me = threading.get_ident()
    assert [one == me for one in tried] == [True, False, True, True]
    assert not coalescer.settle(0.01), "it is at work still"
    free.set()
    assert coalescer.settle(5)


def test_where_no_thread_is_to_be_had_each_sends_by_itself(
    sent: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "COALESCE_SECONDS", 0.5)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    coalescer = wake._Coalescer()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            coalescer.hint("default")
    assert len(sent) == 3
    assert coalescer.settle(0.0)


def test_who_is_forked_waits_for_no_hint_of_its_parent(sent: list[tuple[float, int]]) -> None:
    coalescer = wake._Coalescer()
    coalescer._waiting.add("default")  # a thread of the parent's would send it
    assert not coalescer.settle(0.0)
    coalescer.begin_anew()
    assert coalescer.settle(0.0)
    coalescer.hint("default")
    assert [thread for _at, thread in sent] == [threading.get_ident()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sessions to end")
def test_a_session_that_was_ended_costs_the_sender_one_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "LINGER_SECONDS", 5.0)
    monkeypatch.setattr(wake, "COALESCE_SECONDS", 0.1)
    sessions: list[int] = []
    send = wake.notify

    def note(using: str, payload: str) -> None:
        send(using, payload)
        if connections[using].connection is not None and not connections[using].errors_occurred:
            sessions.append(connections[using].connection.info.backend_pid)

    monkeypatch.setattr(wake, "notify", note)
    coalescer = wake._Coalescer()
    coalescer.hint("default")
    coalescer.hint("default")
    eventually(5, lambda: len(sessions) == 2, "the sender's session")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [sessions[-1]])
    for _ in range(2):
        coalescer.hint("default")
        assert coalescer.settle(5)
    assert len(set(sessions)) == 3
