from __future__ import annotations

import io
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from channels.management.commands import runworker as channels_runworker
from django.apps import apps
from django.core.checks import Error, Tags
from django.core.checks.registry import registry
from django.core.management import call_command, get_commands
from django.core.management.base import CommandError, SystemCheckError
from django.test import override_settings

from runtime.management.commands import roost_worker, runworker
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken

# What a worker does from its start up to its first claim, and what it has loaded by then.
START = """
import sys
import django
django.setup()
from django.core.management import execute_from_command_line
from runtime.management.commands.roost_worker import Command
Command.work = lambda *_: 0
execute_from_command_line(["manage.py", "runworker", "--engines", "counter"])
from runtime.worker import drain
drain.load_engines(["counter"])
print(*{name.partition(".")[0] for name in sys.modules}, *[name for name in sys.modules if "console.api" in name])
"""
ENGINES = {"counter": "engines.counter.Counter", "watchlist": "engines.watchlist.Watchlist"}


class RecordingDrain:
    """A drain that only notes what it was asked for."""

    runs: ClassVar[list[WorkerOptions]] = []

    def __init__(self, options: WorkerOptions, stop: StopToken) -> None:
        self.options = options

    def run(self) -> None:
        self.runs.append(self.options)


@pytest.fixture(autouse=True)
def an_engine() -> Iterator[None]:
    with override_settings(ROOST_ENGINES=ENGINES):
        yield


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> list[WorkerOptions]:
    RecordingDrain.runs.clear()
    module = types.ModuleType("runtime.worker.drain")
    module.Drain = RecordingDrain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return RecordingDrain.runs


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> list[WorkerOptions]:
    pools: list[WorkerOptions] = []
    monkeypatch.setattr("runtime.worker.cluster.run", lambda options: pools.append(options) or 0)
    return pools


@pytest.fixture
def listened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect the channels that channels' own worker was started for."""
    listened: list[list[str]] = []

    class Worker:
        def __init__(self, application: Any, channels: list[str], channel_layer: Any) -> None:
            listened.append(channels)

        def run(self) -> None:
            pass

    monkeypatch.setattr(channels_runworker.Command, "worker_class", Worker)
    return listened


def test_runworker_is_roosts() -> None:
    assert get_commands()["runworker"] == get_commands()["roost_worker"] == "runtime"


@pytest.mark.parametrize("name", ["runworker", "roost_worker"])
def test_the_pool_gets_what_the_command_line_says(name: str, pooled: list[WorkerOptions]) -> None:
    call_command(
        name, "--engines=counter, watchlist", "--processes=2", "--concurrency=3", "--pools=gpu,cpu", "--grace=1.5"
    )
    assert pooled == [
        WorkerOptions(
            engines=("counter", "watchlist"),
            processes=2,
            concurrency=3,
            pools=("gpu", "cpu"),
            once=False,
            until_idle=False,
            grace_seconds=1.5,
            using="default",
        )
    ]


def test_engines_all_means_every_engine(pooled: list[WorkerOptions]) -> None:
    call_command("runworker", "--engines=all")
    call_command("runworker")
    assert [options.engines for options in pooled] == [None, None]


@pytest.mark.parametrize(("flag", "field"), [("--once", "once"), ("--until-idle", "until_idle")])
def test_once_and_until_idle_work_in_this_process(
    flag: str, field: str, drained: list[WorkerOptions], pooled: list[WorkerOptions]
) -> None:
    call_command("runworker", flag)
    assert [getattr(options, field) for options in drained] == [True]
    assert pooled == []


def test_the_exit_code_of_the_pool_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.worker.cluster.run", lambda options: 1)
    with pytest.raises(SystemExit) as end:
        call_command("runworker")
    assert end.value.code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines=conter"], r"No such engine: conter\. Available: .*\bcounter\b"),
        (["--engines=,"], "engines names none"),
        (["--processes=0"], "processes is 0"),
        (["--processes=2", "--once"], "processes cannot be 2"),
        (["--database=elsewhere"], "no database alias 'elsewhere'. Available: default"),
        (["--layer=default"], "name the channels"),
        (["--processes=2", "--until-idle", "a-channel"], "--processes, --until-idle cannot go with channel names"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(
    arguments: list[str], message: str, pooled: list[WorkerOptions], listened: list[list[str]]
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("runworker", *arguments)
    assert (pooled, listened) == ([], [])


@pytest.mark.django_db
@pytest.mark.parametrize("words", [["--bogus"], ["--processes", "x"]])
def test_a_command_line_that_cannot_be_read_ends_with_2_and_the_usage(
    words: list[str], pooled: list[WorkerOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        runworker.Command().run_from_argv(["manage.py", "runworker", *words])
    assert end.value.code == 2
    assert words[0] in capsys.readouterr().err
    assert pooled == []


@pytest.mark.django_db
def test_channel_names_start_channels_worker(listened: list[list[str]], pooled: list[WorkerOptions]) -> None:
    call_command("runworker", "a-channel", "another", layer="default")
    runworker.Command().run_from_argv(["manage.py", "runworker", "a-channel", "--layer", "default"])
    assert listened == [["a-channel", "another"], ["a-channel"]]
    assert pooled == []


@pytest.mark.django_db
def test_a_products_own_runworker_gets_the_whole_command_line(
    monkeypatch: pytest.MonkeyPatch, listened: list[list[str]]
) -> None:
    class Theirs(channels_runworker.Command):
        seen: ClassVar[dict[str, Any]] = {}

        def add_arguments(self, parser: Any) -> None:
            super().add_arguments(parser)
            parser.add_argument("--threads", type=int)

        def handle(self, *args: Any, **options: Any) -> None:
            self.seen.update(options)

    monkeypatch.setattr(runworker, "load_command_class", lambda app, name: Theirs())
    runworker.Command().run_from_argv(["manage.py", "runworker", "--threads", "4", "a-channel"])
    assert Theirs.seen["threads"] == 4
    assert Theirs.seen["channels"] == ["a-channel"]


def test_a_products_own_runworker_speaks_where_it_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(channels_runworker.Command):
        def handle(self, *args: Any, **options: Any) -> None:
            self.stdout.write(f"listening on {options['channels'][0]}")
            self.stderr.write("with one ear")

    monkeypatch.setattr(runworker, "load_command_class", lambda app, name: Theirs())
    said, complained = io.StringIO(), io.StringIO()
    call_command("runworker", "a-channel", stdout=said, stderr=complained)
    assert (said.getvalue(), complained.getvalue()) == ("listening on a-channel\n", "with one ear\n")


def test_the_next_app_in_the_order_of_installed_apps_is_asked() -> None:
    assert list(runworker._apps_after("runtime.management.commands.runworker")) == ["channels"]
    assert list(runworker._apps_after("channels.management.commands.runworker")) == []


def test_without_another_runworker_channel_names_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = [app for app in apps.get_app_configs() if app.name != "channels"]
    monkeypatch.setattr(runworker.apps, "get_app_configs", lambda: alone)
    with pytest.raises(CommandError, match="Add 'channels' to INSTALLED_APPS"):
        call_command("runworker", "a-channel")
    with pytest.raises(SystemExit) as end:
        runworker.Command().run_from_argv(["manage.py", "runworker", "a-channel"])
    assert end.value.code == 1
    assert "Add 'channels'" in capsys.readouterr().err


def test_roost_worker_takes_no_channel_names(pooled: list[WorkerOptions]) -> None:
    with pytest.raises(CommandError, match="unrecognized arguments: a-channel"):
        call_command("roost_worker", "a-channel")
    assert roost_worker.Command.help in runworker.Command.help


@pytest.fixture
def product_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Register checks of a product, under no tag, one and two; return the names of those that were run."""
    ran: list[str] = []

    def check(name: str, *tags: str) -> Any:
        def run(**_options: Any) -> list[Error]:
            ran.append(name)
            return [Error(f"{name} found something")] if name == "strict" else []

        run.tags = tags  # type: ignore[attr-defined]
        return run

    untagged, tagged = check("untagged"), check("tagged", Tags.models)
    urls = (check("urls", Tags.urls), check("theirs", "theirs", Tags.urls))
    monkeypatch.setattr(registry, "registered_checks", {untagged, tagged, check("strict"), *urls})
    return ran


@pytest.mark.parametrize("name", ["runworker", "roost_worker"])
def test_a_worker_runs_every_check_but_those_of_urls(
    name: str, product_checks: list[str], pooled: list[WorkerOptions]
) -> None:
    registered = set(registry.registered_checks)
    with pytest.raises(SystemCheckError, match="strict found something"):
        call_command(name, skip_checks=False)
    assert sorted(product_checks) == ["strict", "tagged", "untagged"]
    assert registry.registered_checks == registered, "what comes after runs them all again"
    assert pooled == []


@pytest.mark.once
def test_a_worker_that_starts_loads_no_api_and_no_client(tmp_path: Path) -> None:
    # Django 6 asks the database what it can do when models are checked.
    environment = {**os.environ, "ROOST_TEST_DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    command = [sys.executable, "-c", START]
    started = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    loaded = set(started.stdout.split())
    assert {"django", "runtime", "console"} <= loaded
    assert loaded & {"ninja", "pydantic", "console.api", "httpx", "jsonschema", "opentelemetry"} == set()
