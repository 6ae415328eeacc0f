"""The process tree of `runworker`: who replaces whom, and who ends with whom."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes.tree import Tree, eventually

pytestmark = [pytest.mark.slow, pytest.mark.once]

Start = Callable[..., Tree]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    trees: list[Tree] = []

    def start_tree(*options: str, manner: str = "waits") -> Tree:
        trees.append(Tree(tmp_path, *options, manner=manner))
        return trees[-1]

    yield start_tree
    for tree in trees:
        tree.kill_everyone()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def aides_of(tree: Tree) -> set[int]:
    """The pusher and the monitor; to be called while every worker drains."""
    return set(tree.children_of_sentinel()) - tree.drains()


def workers(tree: Tree, aides: set[int]) -> list[int]:
    """The workers, also those that have no ticket yet, oldest first."""
    return [pid for pid in tree.children_of_sentinel() if pid not in aides]


def until_settled(tree: Tree, aides: set[int], count: int) -> None:
    """Wait until the tree is what it was at first: the same aides, and as many workers, which all drain."""
    eventually(
        5,
        lambda: len(tree.drains()) == count and set(tree.children_of_sentinel()) == tree.drains() | aides,
        f"{count} drains and {aides}, but {tree.drains()} of {tree.children_of_sentinel()}",
    )


@pytest.mark.scenario("L39")
def test_a_killed_idle_worker_is_replaced_fifty_times(start: Start) -> None:
    tree = start("--processes", "2")
    tree.until_draining(2)
    aides = aides_of(tree)
    took = []
    for _ in range(50):
        killed = random.choice(sorted(tree.drains()))
        kill(killed)
        eventually(5, lambda killed=killed: killed not in tree.drains(), "the kill")
        took.append(tree.until_draining(2, seconds=5))
    assert sorted(took)[25] < 0.5
    until_settled(tree, aides, 2)


@pytest.mark.scenario("L39")
def test_workers_killed_at_any_moment_of_their_start_leave_every_slot_draining(start: Start) -> None:
    tree = start("--processes", "3")
    tree.until_draining(3)
    aides = aides_of(tree)
    for round_ in range(40):
        before: set[int] = set()
        eventually(5, lambda before=before: before.update(workers(tree, aides)) or before, "a worker")
        kill(random.choice(sorted(before)))
        eventually(5, lambda before=before: set(workers(tree, aides)) - before, "a new worker")
        # From before its first instruction to well inside its drain.
        time.sleep(random.uniform(0, 0.04) if round_ % 4 else 0)
        for newest in workers(tree, aides)[-1:]:
            kill(newest)
    until_settled(tree, aides, 3)


@pytest.mark.scenario("L39")
def test_killed_pushers_and_monitors_are_replaced_and_workers_killed_later_still_get_tickets(start: Start) -> None:
    tree = start("--processes", "2")
    tree.until_draining(2)
    for _ in range(3):
        aides, draining = aides_of(tree), tree.drains()
        for pid in aides:
            kill(pid)
        eventually(5, lambda gone=aides: len(aides_of(tree) - gone) == 2 and not aides_of(tree) & gone, "new aides")
        aides = aides_of(tree)
        for pid in draining:
            kill(pid)
        eventually(5, lambda gone=draining: not tree.drains() & gone, "the kills")
        until_settled(tree, aides, 2)


@pytest.mark.scenario("L38")
@pytest.mark.parametrize("manner", ["waits", "deaf"])
def test_the_death_of_the_first_process_ends_every_other(start: Start, manner: str) -> None:
    tree = start("--processes", "2", manner=manner)
    tree.until_draining(2)
    kill(tree.process.pid)
    tree.until_gone(2)


@pytest.mark.scenario("L38")
@pytest.mark.parametrize("manner", ["waits", "deaf"])
def test_the_death_of_the_sentinel_ends_every_process_and_says_so(start: Start, manner: str) -> None:
    tree = start("--processes", "2", manner=manner)
    tree.until_draining(2)
    kill(tree.sentinel().pid)
    tree.until_gone(2)
    assert tree.exit_code() == 1
    assert "The sentinel ended with exit code -9" in tree.log.read_text()


@pytest.mark.scenario("L38")
def test_a_worker_between_its_fork_and_its_ticket_dies_with_the_tree(start: Start) -> None:
    tree = start("--processes", "4")
    sentinel = tree.sentinel()
    eventually(10, lambda: len(sentinel.children()) >= 2, "workers")
    tree.everyone()
    kill(tree.process.pid)
    tree.until_gone(2)


@pytest.mark.scenario("L35")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_stops_every_drain_gracefully(start: Start, signum: signal.Signals) -> None:
    tree = start("--processes", "3")
    tree.until_draining(3)
    draining = tree.drains()
    tree.process.send_signal(signum)
    assert tree.exit_code() == 0
    tree.until_gone(1)
    assert tree.ended() == draining


@pytest.mark.scenario("L35")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_is_one_order_and_stops_gracefully(start: Start, signum: signal.Signals) -> None:
    tree = start("--processes", "3")
    tree.until_draining(3)
    draining = tree.drains()
    os.killpg(tree.process.pid, signum)
    assert tree.exit_code() == 0
    assert tree.ended() == draining


@pytest.mark.scenario("L35")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_everything_at_once(start: Start, signum: signal.Signals, code: int) -> None:
    tree = start("--processes", "2", manner="deaf")
    tree.until_draining(2)
    tree.process.send_signal(signum)
    time.sleep(0.2)
    assert len(tree.drains()) == 2
    tree.process.send_signal(signum)
    assert tree.exit_code(2) == code
    tree.until_gone(1)


@pytest.mark.scenario("L35")
def test_drains_that_outlast_their_grace_period_are_killed(start: Start) -> None:
    tree = start("--processes", "2", "--grace", "0.2", manner="deaf")
    tree.until_draining(2)
    tree.process.send_signal(signal.SIGTERM)
    assert tree.exit_code(8) == 1
    tree.until_gone(1)
    assert "killed; their items are recovered" in tree.log.read_text()


@pytest.mark.scenario("L35")
def test_a_thread_that_a_step_left_behind_does_not_keep_a_worker_from_ending(start: Start) -> None:
    tree = start("--processes", "2", manner="clings")
    tree.until_draining(2)
    tree.process.send_signal(signal.SIGTERM)
    assert tree.exit_code() == 0
    tree.until_gone(1)
    assert "still run: clinging" in tree.log.read_text()


@pytest.mark.scenario("L35")
@pytest.mark.parametrize("children", [0, 1, 3])
def test_a_signal_during_the_start_is_honoured(start: Start, children: int) -> None:
    tree = start("--processes", "3")
    sentinel = tree.sentinel()
    eventually(10, lambda: len(sentinel.children()) >= children, "workers")
    tree.process.send_signal(signal.SIGTERM)
    assert tree.exit_code() == 0
    tree.until_gone(1)


def test_one_worker_told_to_stop_ends_and_is_replaced(start: Start) -> None:
    tree = start("--processes", "2")
    tree.until_draining(2)
    told = min(tree.drains())
    os.kill(told, signal.SIGTERM)
    eventually(5, lambda: told in tree.ended(), "its end")
    tree.until_draining(2, seconds=5)
    assert "died" not in tree.log.read_text()


@pytest.mark.scenario("B16")
def test_a_drain_that_fails_is_told_replaced_unhurriedly_and_stored_nowhere(start: Start) -> None:
    tree = start("--processes", "1", manner="fails")
    eventually(15, lambda: len(list(tree.directory.glob("*.started"))) >= 3, "three attempts")
    tree.process.send_signal(signal.SIGTERM)
    assert tree.exit_code() == 0
    log = tree.log.read_text()
    assert "ValueError: this drain fails" in log
    assert "Could not save task result" not in log
