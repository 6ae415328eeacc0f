"""The commands of the documentation do what their pages say, for a reader who has what the pages say they must have."""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime import registry
from runtime.models import Worker
from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from tests.factories import JournalEntryFactory, WaitFactory, WorkerFactory, WorkItemFactory
from tests.runtime.management.cli import run
from tests.runtime.workspaces.repositories import repository

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
START = "python manage.py roost "
SHIPPED = frozenset({"counter", "letter", "patch", "refund", "watchlist"})
YOURS = re.compile(r"`(\w+)` (?:and `(\w+)` )?(?:is an engine|are engines) of yours")
ID = "0" * 8
"""Stands for an item where a command is read and not run."""

pytestmark = [pytest.mark.django_db]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a page: its words, the variable that keeps what it prints, and the file."""

    words: tuple[str, ...]
    keeps: str = ""
    file: str = ""


def commands(page: Path) -> list[Command]:
    """Return what a page has a reader do with `roost`, in turn."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [_read(line.removeprefix("$ ")) for line in lines if line.startswith("$ ") and START in line]


def _read(line: str) -> Command:
    kept = re.fullmatch(r"(?:export )?(\w+)=\$\((.*?)(?: \| tail -1)?\)", line)
    shown = re.fullmatch(r'cd "\$\((.*)\)"', line)
    words = shlex.split(kept[2] if kept else shown[1] if shown else line, comments=True)
    words = words[words.index("roost") + 1 :]
    if ">" in words:
        return Command(words=tuple(words[:-2]), file=words[-1])
    return Command(words=tuple(words), keeps=kept[1] if kept else "")


def named(page: Path) -> set[str]:
    """Name the engines that a page's commands are about."""
    pairs = [pair for command in commands(page) for pair in zip(command.words, command.words[1:], strict=False)]
    return {value for option, value in pairs if option in ("--engine", "--target")}


def of_the_reader(page: Path) -> set[str]:
    """Name the engines that a page says are the reader's, or has the reader write."""
    text = page.read_text()
    said = {name for found in YOURS.findall(text) for name in found if name}
    return said | {"tally"} if "class Tally(Engine)" in text else said


WITH_COMMANDS = [page for page in PAGES if commands(page)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_an_engine_that_a_page_names_ships_with_roost_or_is_said_to_be_the_readers(page: Path) -> None:
    assert named(page) <= SHIPPED | of_the_reader(page)
    assert SHIPPED.isdisjoint(of_the_reader(page))
    assert set(registry.paths()) >= SHIPPED


Words = dict[str, str]


def done() -> Words:
    """Make a run of eight steps, and another one."""
    ids = [enqueue("hop", {"steps": 8}).pk for _ in range(2)]
    drain()
    return {"ID": str(ids[0]), "OTHER": str(ids[1])}


def failed() -> Words:
    """Make a dead letter with a recorded call that failed."""
    item = WorkItemFactory(failed=True, version=1)
    JournalEntryFactory(work_item=item, key="charge", state="failed", error={"message": "no such account"})
    return {"ID": str(item.pk)}


def asking() -> Words:
    """Make an item that waits for an approval."""
    return {"ID": str(WaitFactory(key="refund").work_item_id)}


def patched() -> Words:
    """Have a repository patched; its item leaves the patch, and the workspace."""
    source = repository(Path.cwd() / uuid.uuid4().hex)
    edit = {"path": "src/main.py", "find": "one", "replace": "two"}
    item = enqueue("patch", {"source": str(source), "ref": "main", "edits": [edit]})
    drain()
    return {"ID": str(item.pk)}


def live() -> Words:
    """Make an item that is due, and a worker that could take it."""
    if not Worker.objects.exists():
        WorkerFactory(engines=sorted(registry.paths()))
    return {"ID": str(WorkItemFactory().pk)}


def held() -> Words:
    """Make an item on legal hold."""
    return {"ID": str(WorkItemFactory(legal_hold=True).pk)}


PLAYED: dict[str, Callable[[], Words]] = {
    "README.md": live,
    "docs/explanation/limits.md": live,
    "docs/how-to/api.md": live,
    "docs/how-to/conformance.md": live,
    "docs/how-to/deploy.md": live,
    "docs/how-to/errors-and-tools.md": done,
    "docs/how-to/go-back.md": done,
    "docs/how-to/journal.md": failed,
    "docs/how-to/operate.md": failed,
    "docs/how-to/people-and-signals.md": asking,
    "docs/how-to/retention.md": live,
    "docs/how-to/schedules.md": live,
    "docs/how-to/tenants.md": live,
    "docs/how-to/triggers.md": live,
    "docs/how-to/webhook-targets.md": live,
    "docs/how-to/webhooks.md": live,
    "docs/how-to/workspaces.md": patched,
    "docs/tutorial/first-engine.md": live,
}
"""Page → what makes the item that its commands name, a new one for each."""

MAKES: dict[tuple[str, str], Callable[[], Words]] = {("docs/how-to/retention.md", "unhold"): held}
"""Page and command → the same, for a command that wants another."""

LEFT_OUT = {
    "docs/reference/commands.md": "the form of a command, not one",
    "docs/tutorial/steps-that-remember.md": "the suite plays it with real processes: tests/processes/test_refund.py",
}
HOP = "tests.ledger.engines.Hop"
"""Stands for an engine of the reader's: it takes any payload."""
FILES = {
    "state.json": '{"n": 4, "pad": ""}',
    "edits.json": '{"source": "/srv/shop", "ref": "main", "edits": [{"path": "a.py", "find": "a", "replace": "b"}]}',
}
"""What the reader wrote, as the pages show it."""


def test_every_page_with_commands_is_played_or_says_why_not() -> None:
    assert {name_of(page) for page in WITH_COMMANDS} == PLAYED.keys() | LEFT_OUT.keys()


@pytest.mark.parametrize("name", PLAYED)
def test_the_commands_of_a_page_work(name: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    page = ROOT / name
    settings.ROOST_ENGINES = settings.ROOST_ENGINES | dict.fromkeys(of_the_reader(page), HOP)
    kept: Words = {}
    for command in commands(page):
        makes = MAKES.get((name, command.words[0]), PLAYED[name])
        words = [_said(word, makes() | kept) for word in command.words]
        told = run(*words)
        if command.keeps:
            kept[command.keeps] = told.strip().splitlines()[-1]
        if command.file:
            (tmp_path / command.file).write_text(told)


def _said(word: str, words: Words) -> str:
    """Put in what a word of a page stands for."""
    return words.get(word.removeprefix("$"), word)
