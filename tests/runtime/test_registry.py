"""Engines are found by name, imported when asked for, and what is wrong with one is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runtime import registry
from runtime.engine import Complete, Engine, FunctionEngine, Item, Snapshot, engine
from runtime.exceptions import EngineLoadError, InvalidInput, UnknownEngine

HERE = __name__


class Good(Engine):
    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        return Complete()


class Unfinished(Engine):
    def init_snapshot(self, item: Item) -> Any:
        return {}


class Failing(Good):
    def __init__(self) -> None:
        raise RuntimeError("no credentials")


class Hasty(Good):
    step_timeout = "10"  # type: ignore[assignment]


class Eager(Good):
    retry = {"max_attempts": 3}  # type: ignore[assignment]


@engine()
def function(state: Any) -> Complete:
    return Complete(state)


ready = Good()
not_an_engine = {"step": 1}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Forget what other tests have loaded, and what this one will."""
    registry._load.cache_clear()
    registry._entry_points.cache_clear()
    yield
    registry._load.cache_clear()
    registry._entry_points.cache_clear()


@pytest.fixture
def only(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register exactly the given engines."""
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])

    def register(**engines: str) -> None:
        settings.ROOST_ENGINES = engines

    return register


def test_a_class_an_instance_and_a_function_are_engines(only: Any) -> None:
    only(good=f"{HERE}.Good", ready=f"{HERE}.ready", function=f"{HERE}.function")
    assert type(registry.get("good")) is Good
    assert registry.get("ready") is ready
    assert isinstance(registry.get("function"), FunctionEngine)
    assert registry.names() == ["function", "good", "ready"]


def test_one_instance_serves_a_process(only: Any) -> None:
    only(good=f"{HERE}.Good")
    assert registry.get("good") is registry.get("good")


def test_nothing_is_imported_until_it_is_asked_for(only: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_engine_module.py").write_text(f"from {HERE} import Good as Lazy\n")
    monkeypatch.syspath_prepend(tmp_path)
    only(lazy="lazy_engine_module.Lazy", broken="no.such.module.Engine")
    assert registry.names() == ["broken", "lazy"]
    assert registry.paths()["lazy"] == "lazy_engine_module.Lazy"
    assert "lazy_engine_module" not in sys.modules
    assert registry.get("lazy").version == "1"
    assert "lazy_engine_module" in sys.modules
    del sys.modules["lazy_engine_module"]


@pytest.mark.scenario("L15")
def test_an_unknown_engine_is_refused_with_the_names_of_those_there_are(only: Any) -> None:
    only(good=f"{HERE}.Good", broken="no.such.module.Engine")
    with pytest.raises(UnknownEngine, match=r"no engine 'bad'\. Available: broken, good\.") as caught:
        registry.get("bad")
    assert isinstance(caught.value, InvalidInput)
    assert (caught.value.field, caught.value.code) == ("engine", "unknown_engine")


def test_where_there_is_no_engine_the_setting_is_named(only: Any) -> None:
    only()
    with pytest.raises(UnknownEngine, match="set ROOST_ENGINES"):
        registry.get("any")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no.such.module.Engine", "cannot be imported from 'no.such.module.Engine'"),
        (f"{HERE}.Missing", "cannot be imported"),
        ("nodots", "cannot be imported"),
        (f"{HERE}.Unfinished", "cannot be made"),
        (f"{HERE}.Failing", "cannot be made: no credentials"),
        (f"{HERE}.not_an_engine", "is a dict; it must be an Engine class"),
        (f"{HERE}.Hasty", "step_timeout of engine 'bad' is '10'; it must be seconds above 0"),
        (f"{HERE}.Eager", "retry of engine 'bad' is {'max_attempts': 3}; it must be a RetryPolicy"),
        ("pathlib.Path", "is a type; it must be"),
    ],
)
def test_an_engine_that_cannot_be_loaded_says_why(only: Any, path: str, says: str) -> None:
    only(bad=path)
    with pytest.raises(EngineLoadError, match=says):
        registry.get("bad")


def test_a_module_that_fails_at_import_says_why(only: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_engine_module.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    only(bad="failing_engine_module.Engine")
    with pytest.raises(EngineLoadError, match="no licence"):
        registry.get("bad")


def test_engines_of_installed_packages_are_found_and_a_setting_wins(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        metadata.EntryPoint("mine", f"{HERE}:ready", registry.GROUP),
        metadata.EntryPoint("theirs", f"{HERE}:function", registry.GROUP),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "roost.engines" else [])
    settings.ROOST_ENGINES = {"mine": f"{HERE}.Good"}
    assert registry.names() == ["mine", "theirs"]
    assert type(registry.get("mine")) is Good
    assert registry.get("theirs") is function


def test_the_setting_is_read_live(settings: Any, only: Any) -> None:
    only(name=f"{HERE}.Good")
    assert type(registry.get("name")) is Good
    settings.ROOST_ENGINES = {"name": f"{HERE}.function"}
    assert registry.get("name") is function


def test_the_engines_of_the_demo_product_load() -> None:
    from roost_project import settings as demo

    assert set(demo.ROOST_ENGINES) == {
        *("bulk_verb", "counter", "invoice", "letter", "patch", "refund", "review", "watchlist", "webhook_delivery"),
    }
    assert {registry._load(name, path).engine_id for name, path in demo.ROOST_ENGINES.items()} == set(
        demo.ROOST_ENGINES
    )
