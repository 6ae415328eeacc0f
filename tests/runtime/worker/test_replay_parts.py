"""A dry replay finds the first place where a run's steps part from its record, and stops what would reach outside."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from runtime.asks import AwaitSignal
from runtime.journal import CallPolicy, Quota
from runtime.models import JournalEntry
from tests.ledger.models import Entry
from tests.runtime.worker.calling import STEPS, note
from tests.runtime.worker.replaying import LANES, again, fails, in_lane, ran

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("calling"), pytest.mark.scenario("S11")]


@pytest.mark.parametrize("lane", LANES)
def test_the_first_divergence_is_told_by_version_and_place(lane: str) -> None:
    item = ran(lane, lambda ctx: {"a": [1, 2], "version": ctx._run.version}, steps=3)
    STEPS["it"] = lambda ctx: {"a": [1, 2], "version": min(ctx._run.version, 1)}
    found = again(item).divergence
    assert found is not None
    assert (found.version, found.kind, found.path) == (3, "result", "/2/version")
    assert (found.recorded, found.produced) == (2, 1)
    STEPS["it"] = lambda ctx: {"a": [1, 3], "version": ctx._run.version}
    found = again(item).divergence
    assert found is not None
    assert (found.version, found.kind, found.path, found.recorded) == (1, "state", "/got/0/a/1", 2)


def connect() -> None:
    with socket.socket() as plug:
        plug.connect(("127.0.0.1", 9))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (fails, "error", "Declined: no"),
        (lambda ctx: ctx.ask(AwaitSignal("word")), "waiting", "'word'"),
        (lambda ctx: str(ctx.spawn("other")), "child", "was not recorded: other"),
        (lambda ctx: subprocess.run(["true"], check=True), "outside", "subprocess.Popen"),
        (lambda ctx: connect(), "outside", "socket.connect"),
    ],
)
def test_what_the_record_does_not_have_is_a_divergence(lane: str, change: Any, kind: str, words: str) -> None:
    item = ran(lane, lambda ctx: 1)
    STEPS["it"] = change
    found = again(item).divergence
    assert found is not None
    assert (found.version, found.kind) == (1, kind)
    assert words in found.text


@pytest.mark.parametrize("lane", LANES)
def test_a_call_that_was_not_recorded_is_a_divergence_even_if_the_step_swallows_it(lane: str) -> None:
    item = ran(lane, in_lane(lane, ("one", note, 1)))

    async def waits(ctx: Any) -> Any:
        try:
            return await ctx.run("other", note, 1)
        except BaseException:  # noqa: BLE001 - what a careless step does
            return 1

    def calls(ctx: Any) -> Any:
        try:
            return ctx.run("other", note, 1)
        except BaseException:  # noqa: BLE001 - what a careless step does
            return 1

    STEPS["it"] = waits if lane == "async" else calls
    found = again(item).divergence
    assert found is not None
    assert (found.kind, found.version) == ("call", 1)
    assert "'other' (note)" in found.text
    STEPS["it"] = in_lane(lane, ("one", note, 2))
    found = again(item).divergence
    assert found is not None
    assert (found.kind, found.produced["type"]) == ("error", "JournalMismatch")


@pytest.mark.parametrize("lane", LANES)
def test_a_quota_of_the_run_is_used_up_again_and_a_call_cut_off_is_not_guessed(lane: str) -> None:
    policy = CallPolicy(quotas=(Quota(most=1),))
    item = ran(lane, in_lane(lane, ("one", note, 1), ("two", note, 2), policy=policy))
    assert item.last_error["code"] == "quota_exceeded"
    assert again(item).stopped is not None
    cut = ran(lane, in_lane(lane, ("one", note, 1)))
    JournalEntry.objects.filter(work_item=cut).update(state="started", result=None)
    found = again(cut).divergence
    assert found is not None
    assert "was cut off" in found.text


@pytest.mark.parametrize("how", [sync_to_async, asyncio.to_thread])
def test_an_async_step_that_writes_to_the_work_database_is_stopped(how: Any) -> None:
    item = ran("async", lambda ctx: 1)

    def write() -> None:
        try:
            Entry.objects.create(item=item.pk, number=1, pid=1)
        finally:
            if how is asyncio.to_thread:
                connection.close()

    async def writes(ctx: Any) -> Any:
        await (how(write)() if how is sync_to_async else how(write))
        return 1

    STEPS["it"] = writes
    found = again(item).divergence
    assert found is not None
    assert found.kind == "write"


def test_rows_that_an_atomic_step_writes_are_rolled_back() -> None:
    def writes(ctx: Any) -> Any:
        Entry.objects.create(item=ctx._run.id, number=Entry.objects.count() + 7, pid=1)
        return Entry.objects.filter(item=ctx._run.id, number=7).count()

    item = ran("atomic", writes)
    assert again(item).same


AT_THE_END = """
import builtins, sys, django
django.setup()
from runtime.worker.replay import watch
watch._hook()
class Late:
    audit = sys.audit
    def __del__(self):
        self.audit("os.remove", "a file", -1)
builtins.late, watch.late = Late(), Late()
"""


def test_a_replay_leaves_nothing_that_complains_at_the_end_of_the_interpreter() -> None:
    """Names of modules are gone by then, and what ends late is still heard of."""
    ended = subprocess.run([sys.executable, "-c", AT_THE_END], check=True, capture_output=True, text=True)
    assert ended.stderr == ""
