"""The documentation says what the code does: nothing is missing from the references, and the tutorial runs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import load_command_class

from runtime import conf
from runtime.choices import EventKind, Reason, State
from runtime.engine import Complete, Continue, Snapshot
from runtime.exceptions import InvalidInput
from runtime.testing import run_step

pytestmark = pytest.mark.once

DOCS = Path(__file__).resolve().parents[2] / "docs"


def page(name: str) -> str:
    """Read a page of the documentation."""
    return (DOCS / name).read_text()


def commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[str]:
    """Name every command that does something, with its group."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield before.strip()
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, f"{before} {name}")


@pytest.mark.parametrize("name", sorted(conf.names()))
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in page("reference/settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    ours, _, environment = page("reference/settings.md").partition("## The demo product's environment")
    assert environment
    assert set(re.findall(r"`(ROOST_\w+)`", ours)) == conf.names()


@pytest.mark.parametrize("value", [*State.values, *Reason.values, *EventKind.values])
def test_every_state_reason_and_event_kind_is_documented(value: str) -> None:
    assert f"`{value}`" in page("reference/states.md")


def test_every_system_check_is_documented_and_no_other() -> None:
    files = (DOCS.parent / "runtime" / "checks").glob("*.py")
    ours = {name for file in files for name in re.findall(r'id="(roost\.[EWI]\d+)"', file.read_text())}
    assert ours
    assert set(re.findall(r"`(roost\.[EWI]\d+)`", page("reference/checks.md"))) == ours


def test_every_command_is_documented() -> None:
    parser = load_command_class("runtime", "roost").create_parser("manage.py", "roost")
    told = page("reference/commands.md")
    assert [name for name in commands(parser) if not re.search(rf"`{name}\b", told)] == []


@pytest.fixture
def tally() -> ModuleType:
    """Run the tutorial's engine as the tutorial has it."""
    module = ModuleType("tally")
    [source] = re.findall(r"```python\n(.*?class Tally.*?)```", page("tutorial/first-engine.md"), re.DOTALL)
    exec(compile(source, "tally.py", "exec"), module.__dict__)  # noqa: S102 - our own page
    return module


def test_the_tutorials_engine_counts_text_by_text(tally: ModuleType) -> None:
    payload = {"texts": ["to be", "or not"]}
    first = run_step(tally.Tally(), payload)
    assert first == Continue({"done": 1, "words": 2}, 3, "text 1 of 2")
    assert run_step(tally.Tally(), payload, snapshot=Snapshot(data=first.state)) == Complete({"words": 4})


def test_the_tutorials_engine_refuses_bad_input(tally: ModuleType) -> None:
    with pytest.raises(InvalidInput):
        tally.Tally().check_payload({"texts": []})
