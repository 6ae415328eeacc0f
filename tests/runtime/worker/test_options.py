from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from runtime.exceptions import InvalidInput
from runtime.worker.options import WorkerOptions


def test_what_is_left_out_comes_from_the_settings() -> None:
    with override_settings(ROOST_WORKER_PROCESSES=3, ROOST_WORKER_CONCURRENCY=7, ROOST_GRACE_SECONDS=9):
        options = WorkerOptions.defaults("default", concurrency=8, pools=None)
    assert (options.processes, options.concurrency, options.grace_seconds) == (3, 8, 9.0)
    assert (options.engines, options.pools) == (None, ())


@override_settings(ROOST_WORKER_PROCESSES=3)
@pytest.mark.parametrize("mode", ["once", "until_idle"])
def test_work_in_this_process_needs_no_word_about_processes(mode: str) -> None:
    assert WorkerOptions.defaults("default", **{mode: True}).processes == 1


@pytest.mark.parametrize("engines", [None, ("counter",)])
def test_options_survive_a_trip_through_json(engines: tuple[str, ...] | None) -> None:
    options = WorkerOptions.defaults("default", engines=engines, pools=("a", "b"))
    assert WorkerOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"processes": 0}, "processes"),
        ({"concurrency": -1}, "concurrency"),
        ({"grace_seconds": -0.1}, "grace_seconds"),
        ({"grace_seconds": float("nan")}, "grace_seconds"),
        ({"grace_seconds": float("inf")}, "grace_seconds"),
        ({"engines": ()}, "engines"),
        ({"once": True, "until_idle": True}, "once"),
        ({"once": True, "processes": 2}, "processes"),
        ({"until_idle": True, "processes": 2}, "processes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(chosen: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        WorkerOptions.defaults("default", **chosen)
    assert error.value.field == field


@override_settings(ROOST_ENGINES={"counter": "engines.counter.Counter"})
@pytest.mark.parametrize(("chosen", "message"), [({"engines": ("conter",)}, "counter"), ({}, "default")])
def test_unknown_names_are_answered_with_those_that_exist(chosen: dict[str, Any], message: str) -> None:
    using = "default" if chosen else "elsewhere"
    with pytest.raises(InvalidInput, match=f"Available: .*{message}"):
        WorkerOptions.defaults(using, **chosen).require_known()


@override_settings(ROOST_ENGINES={})
def test_a_worker_without_any_engine_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.registry._entry_points", dict)
    with pytest.raises(InvalidInput, match="Set ROOST_ENGINES"):
        WorkerOptions.defaults("default").require_known()
