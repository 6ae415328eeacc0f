"""Faults that a test asks for happen where it asked, once, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from runtime import faults
from runtime.exceptions import InvalidInput
from runtime.faults import InjectedFault, Plan
from runtime.store.base import Store
from runtime.store.faulty import with_points


def test_nothing_happens_without_a_plan() -> None:
    assert not faults.armed()
    for point in faults.POINTS:
        faults.reach(point)


def test_only_the_point_and_the_pass_that_were_asked_for_fail() -> None:
    with faults.planned(Plan(point="commit.after", action="raise", nth=2)):
        with faults.around("commit"):
            pass
        faults.reach("claim.after")
        with pytest.raises(InjectedFault), faults.around("commit"):
            pass
        with faults.around("commit"):
            pass
    assert not faults.armed()


def test_a_fault_happens_once_however_many_processes_have_it(tmp_path: Path) -> None:
    marker = str(tmp_path / "once")
    with faults.planned(Plan.parse(f"claim.before:raise:1:{marker}")), pytest.raises(InjectedFault):
        faults.reach("claim.before")
    with faults.planned(Plan.parse(f"claim.before:raise:1:{marker}")):
        faults.reach("claim.before")


def test_a_process_can_be_told_to_kill_itself() -> None:
    code = "from runtime import faults; faults.reach('call.before'); print('alive')"
    environment = {**os.environ, faults.VARIABLE: "call.before:kill"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.django_db(transaction=True)
def test_a_dropped_connection_is_noticed_by_who_uses_it_next() -> None:
    connection.ensure_connection()
    raw = connection.connection
    with faults.planned(Plan(point="commit.after", action="drop")), pytest.raises(OperationalError):
        faults.reach("commit.after")
    with pytest.raises(Exception, match="closed"):
        raw.cursor()
    connection.close()


def test_a_test_may_add_an_action_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    monkeypatch.setitem(faults.ACTIONS, "note", reached.append)
    plan = Plan.parse("signal.before:note:2")
    with faults.planned(plan):
        faults.reach("signal.before")
        assert not plan.due
        faults.reach("signal.before")
    assert plan.due
    assert reached == ["signal.before"]


@pytest.mark.parametrize("text", ["nowhere", "commit.after:explode", "commit.after:kill:often"])
def test_a_plan_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"ROOST_FAULT"):
        Plan.parse(text)


def test_every_write_of_the_store_has_its_points() -> None:
    looks = {"read_back", "forecast", "due", "next_due_in"}
    verbs = set(Store.__abstractmethods__) - looks
    assert verbs <= faults.PLACES.keys()


@pytest.mark.parametrize("point", ["sweep.before", "sweep.after"])
def test_a_store_with_points_fails_before_or_after_its_work(point: str) -> None:
    done: list[str] = []

    class Sweeper:
        def sweep(self) -> None:
            done.append("swept")

    store = with_points(Sweeper())  # type: ignore[arg-type]
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        store.sweep()  # type: ignore[call-arg]
    assert done == ([] if point.endswith("before") else ["swept"])
