from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from runtime.worker.stop import SignalCount, StopToken
from runtime.worker.stop_pipe import StopPipe


@pytest.fixture
def pipe() -> Iterator[StopPipe]:
    pipe = StopPipe()
    yield pipe
    pipe.close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect exit codes instead of ending the process of the test."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


def test_an_order_stays_in_the_pipe_for_everyone_who_looks_later(pipe: StopPipe) -> None:
    assert not pipe.is_set()
    pipe.set()
    assert [pipe.is_set(), pipe.wait(), pipe.is_set()] == [True, True, True]
    assert not pipe.abandoned


def test_a_pipe_whose_orderer_is_gone_is_an_order_to_end() -> None:
    pipe = StopPipe()
    pipe.only_listen()
    assert pipe.abandoned
    assert pipe.is_set()
    os.close(pipe.fileno())


@pytest.mark.scenario("L35")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_requests_a_stop_and_wakes_whoever_waits(signum: signal.Signals) -> None:
    woken = threading.Event()
    with StopToken() as stop:
        stop.add_callback(woken.set)
        assert not stop.requested
        os.kill(os.getpid(), signum)
        assert stop.wait(5)
        assert stop.requested
        assert woken.wait(5)
        assert not stop.immediate


@pytest.mark.scenario("L35")
def test_a_second_signal_ends_the_process_with_the_signals_code(
    ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.worker.stop.SAME_ORDER_SECONDS", 0.0)
    with StopToken() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        os.kill(os.getpid(), signal.SIGTERM)
    assert ends == [143]
    assert stop.immediate


def test_the_echo_of_one_order_is_no_second_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.001, 10.2])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    count = SignalCount()
    assert [count.add(), count.add(), count.add()] == [1, 1, 2]


def test_a_byte_in_the_pipe_requests_a_stop(pipe: StopPipe) -> None:
    with StopToken(pipe) as stop:
        pipe.set()
        assert stop.wait(5)


def test_the_end_of_the_pipe_ends_the_process_even_after_a_graceful_order(ends: list[int]) -> None:
    read, write = os.pipe()
    pipe = StopPipe()
    os.dup2(read, pipe.fileno())
    os.close(read)
    ended = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "_exit", lambda code: (ends.append(code), ended.set()))
        with StopToken(pipe) as stop:
            os.write(write, b".")
            assert stop.wait(5)
            assert ends == []
            os.close(write)
            assert ended.wait(5)
    assert set(ends) == {1}
    pipe.close()


def test_callbacks_run_once_and_late_ones_at_once_and_a_bad_one_spares_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []

    def fail() -> None:
        raise ValueError("bad callback")

    stop = StopToken()
    stop.add_callback(fail)
    stop.add_callback(lambda: calls.append("early"))
    stop.request()
    stop.request()
    stop.add_callback(lambda: calls.append("late"))
    assert calls == ["early", "late"]
    assert "bad callback" in caplog.text


def test_handlers_are_put_back_and_the_token_of_the_process_is_forgotten() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    with StopToken() as stop:
        assert StopToken.of_process() is stop
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(RuntimeError, match="not started by runworker"):
        StopToken.of_process()


def test_a_token_in_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def use() -> None:
        with StopToken() as stop:
            seen.append(signal.getsignal(signal.SIGTERM))
            stop.request()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(5)
    assert seen == [before]
