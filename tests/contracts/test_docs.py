"""The documentation says what the code does: nothing is missing from the references, and the tutorial runs."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from django.core.management import load_command_class
from django.db.models import CharField, Model
from django.dispatch import Signal

from runtime import conf, errors, registry, signals
from runtime.choices import EventKind, Reason, State
from runtime.engine import Complete, Continue, Decision, Engine, EngineOptions, Item, Snapshot
from runtime.exceptions import InvalidInput
from runtime.models import Limit, Resource, Schedule, Trigger, Webhook, WebhookTarget
from runtime.operations.spec import ItemOptions
from runtime.step import ChildOptions, StepContext
from runtime.testing import run_step
from tests.contracts.error_codes import codes
from tests.deploy.files import environment_names

pytestmark = pytest.mark.plain

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


def tables(text: str) -> Iterator[list[str]]:
    """Return what stands first in each row of each table, where that is a name."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        yield re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)


PAGES = ["../CHANGELOG.md", "../README.md", *sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", PAGES)
def test_no_table_has_a_name_twice(path: str) -> None:
    found = list(tables(page(path)))
    assert [names for names in found if len(set(names)) < len(names)] == []


@pytest.mark.parametrize("path", PAGES)
def test_no_two_paragraphs_begin_alike(path: str) -> None:
    prose = re.sub(r"^```.*?^```", "", page(path), flags=re.DOTALL | re.MULTILINE)
    began = Counter(line[:60] for line in prose.splitlines() if len(line) >= 60)
    assert [line for line, times in began.items() if times > 1] == []


def test_names_in_tables_are_seen() -> None:
    text = "| a | |\n|---|---|\n| `x` | 1 |\n| `y` | 2 |\n| `x` | 3 |\n\n| `x` | 4 |\n"
    assert list(tables(text)) == [["`x`", "`y`", "`x`"], ["`x`"]]


@pytest.mark.parametrize("name", sorted(conf.names()))
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in page("reference/settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    ours, _, environment = page("reference/settings.md").partition("## The demo product's environment")
    assert environment
    assert set(re.findall(r"`(ROOST_\w+)`", ours)) == conf.names()


def test_no_page_names_a_setting_that_nobody_reads() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    named = {name for one in pages for name in re.findall(r"\bROOST_[A-Z0-9_]*[A-Z0-9]\b", one.read_text())}
    assert {name for name in named if not name.startswith("ROOST_TEST_")} <= environment_names()


@pytest.mark.parametrize("value", [*State.values, *Reason.values, *EventKind.values])
def test_every_state_reason_and_event_kind_is_documented(value: str) -> None:
    assert f"`{value}`" in page("reference/states.md")


def test_every_extra_for_users_is_named_where_they_install() -> None:
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    line = page("how-to/add-to-your-product.md").partition("The extras: ")[2].partition(" From a checkout")[0]
    assert set(re.findall(r"`(\w+)` \(", line)) == extras.keys() - {"dev", "docs"}


def test_every_verb_that_code_is_told_of_is_there() -> None:
    told = page("how-to/add-to-your-product.md").partition("Every verb is a function in `runtime.operations`: ")[2]
    verbs = re.findall(r"`(\w+)`", told.partition(", each in the module of its name")[0])
    assert {"cancel", "fork", "hold", "reset_call"} <= set(verbs)
    assert [one for one in verbs if not callable(getattr(import_module(f"runtime.operations.{one}"), one, None))] == []


def test_every_code_of_an_error_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("reference/states.md", "Codes of errors"), re.MULTILINE)
    told = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(codes() | {code for _category, code in errors._KNOWN.values()})


def section(name: str, title: str) -> str:
    """Return what stands under a heading of a page, up to the next one of its rank."""
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", page(name), re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def public(of: type) -> set[str]:
    """Name what a class offers: its attributes, and what its annotations declare."""
    return {name for name in {*vars(of), *inspect.get_annotations(of)} if not name.startswith("_")}


def fields_of(*shapes: type) -> set[str]:
    return {field.name for shape in shapes for field in dataclasses.fields(shape)}


CONTRACT = {
    "Engine": public(Engine),
    "Engines made of a function": set(EngineOptions.__annotations__),
    "Item and Snapshot": fields_of(Item) | {"data", "version", "label"},
    "Decisions": {one.__name__ for one in get_args(Decision)} | fields_of(*get_args(Decision)) | {"next", "finish"},
    "The context of a step": public(StepContext),
    "Options of an item": set(ItemOptions.__annotations__),
    "Signals of Django": {name for name, found in vars(signals).items() if isinstance(found, Signal)},
}


@pytest.mark.parametrize("title", CONTRACT)
def test_the_contract_of_engines_is_documented(title: str) -> None:
    told = re.sub(r"```.*?```", "", section("reference/engines.md", title), flags=re.DOTALL)
    words = {word for code in re.findall(r"`([^`]+)`", told) for word in re.findall(r"\w+", code)}
    assert CONTRACT[title] - words == set()


@pytest.mark.parametrize(
    ("title", "names"),
    [("Options of an item", set(ItemOptions.__annotations__)), ("The context of a step", public(StepContext))],
)
def test_no_option_and_nothing_of_the_context_is_documented_that_does_not_exist(title: str, names: set[str]) -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", section("reference/engines.md", title), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert told <= names
    assert len(told) > 10


@pytest.mark.parametrize("model", [Limit, Resource, Schedule, Trigger, Webhook, WebhookTarget])
def test_whether_names_are_of_a_namespace_or_of_the_installation_is_documented(model: type[Model]) -> None:
    names = {field.name: field.unique for field in model._meta.fields if isinstance(field, CharField)}
    of_all = names.get("name", False)
    end = "have names of the installation" if of_all else "are those of one namespace"
    [told] = re.findall(rf"(?:^|[.;])([^.;]*) {end}", section("reference/engines.md", "Namespaces"))
    assert str(model._meta.verbose_name_plural) in re.split(r",? and |, ", told.strip())


def test_which_options_children_take_is_documented() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| child \|$", section("reference/engines.md", "Options of an item"), re.MULTILINE
    )
    assert set(rows) == {"relation", *ChildOptions.__annotations__}


def test_every_system_check_is_documented_and_no_other() -> None:
    files = (DOCS.parent / "runtime" / "checks").glob("*.py")
    ours = {name for file in files for name in re.findall(r'id="(roost\.[EWI]\d+)"', file.read_text())}
    assert ours
    assert set(re.findall(r"`(roost\.[EWI]\d+)`", page("reference/checks.md"))) == ours


def test_everything_that_the_doctor_looks_at_is_documented_and_nothing_else() -> None:
    files = (DOCS.parent / "runtime" / "queries").glob("*.py")
    ours = {name for file in files for name in re.findall(r'check="([^"]+)"', file.read_text())}
    rows = re.findall(r"^\| (`.*?) \|", page("how-to/monitor.md").partition("## The doctor")[2], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == ours


def test_every_command_is_documented() -> None:
    parser = load_command_class("runtime", "roost").create_parser("manage.py", "roost")
    told = page("reference/commands.md")
    assert [name for name in commands(parser) if not re.search(rf"`{name}\b", told)] == []


def test_no_command_is_documented_twice() -> None:
    rows = re.findall(r"^\| `([^`]+)`", page("reference/commands.md"), re.MULTILINE)
    assert [row for row in set(rows) if rows.count(row) > 1] == []


def test_every_shipped_engine_is_documented_and_no_other() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    rows = re.findall(r"^\| `(\w+)` \|", page("reference/shipped-engines.md").partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(project["entry-points"]["roost.engines"])


@pytest.mark.parametrize("name", ["counter", "watchlist"])
def test_a_shipped_engine_takes_what_its_section_says(name: str) -> None:
    schema = registry.get(name).payload_schema
    assert schema is not None
    section = page("reference/shipped-engines.md").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (needed)?", section, re.MULTILINE)
    assert {field for field, _needed in rows} == schema["properties"].keys()
    assert [field for field, needed in rows if needed] == schema["required"]


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
