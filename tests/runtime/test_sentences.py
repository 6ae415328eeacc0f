"""What is told to people is English wherever it is made and kept, and theirs where a page shows it."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

from runtime.choices import Reason, State
from runtime.exceptions import Conflict
from runtime.sentences import Sentence, ngettext, say, together, translated
from tests.catalogue import catalogue

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"%\((\w+)\)[a-z]")
TEXTS = {
    "Work item %(item)s is %(state)s.": "Auftrag %(item)s ist %(state)s.",
    "Resume it.": "Setze ihn fort.",
    "work item state\x04paused": "angehalten",
    ("%(count)d worker", 0): "%(count)d Arbeiter",
    ("%(count)d worker", 1): "%(count)d Arbeiterinnen",
    "It costs %(price)s.": "Kostet %(preis)s.",
}


@pytest.fixture
def german() -> Iterator[None]:
    """Activate German with the texts of a product's catalogue."""
    with catalogue(TEXTS):
        yield


def paused() -> Sentence:
    told = say("Work item %(item)s is %(state)s.", item="7", state=State.PAUSED.label)
    return together([told, "", say("Resume it.")])


@pytest.mark.usefixtures("german")
def test_a_sentence_is_english_whatever_language_is_active_and_is_told_in_that_language() -> None:
    assert paused() == "Work item 7 is paused. Resume it."
    assert str(Conflict(paused())) == "Work item 7 is paused. Resume it."
    assert translated(paused()) == translated(Conflict(paused())) == "Auftrag 7 ist angehalten. Setze ihn fort."
    assert translation.get_language() == "de"


def test_without_a_catalogue_it_is_told_as_it_is() -> None:
    assert translated(paused()) == "Work item 7 is paused. Resume it."
    assert translated(Conflict("plain %s")) == translated("plain %s") == "plain %s"
    assert translated(Reason.RETRY.label) == str(Reason.RETRY.label)


@pytest.mark.usefixtures("german")
def test_one_and_many_are_told_apart() -> None:
    one, many = (ngettext("%(count)d worker", "%(count)d workers", count) for count in (1, 2))
    assert (one, many) == ("1 worker", "2 workers")
    assert (translated(one), translated(many)) == ("1 Arbeiter", "2 Arbeiterinnen")


@pytest.mark.usefixtures("german")
def test_a_text_of_a_catalogue_that_lacks_a_place_is_not_used() -> None:
    assert translated(say("It costs %(price)s.", price=3)) == "It costs 3."


@pytest.mark.usefixtures("german")
def test_a_copy_of_an_error_is_told_like_the_error() -> None:
    assert translated(copy.deepcopy(Conflict(paused()))) == "Auftrag 7 ist angehalten. Setze ihn fort."


class Particular(Exception):
    """Cannot be made again of its text alone."""

    def __init__(self, text: str, *, code: int) -> None:
        super().__init__(text)


@pytest.mark.usefixtures("german")
def test_a_sentence_about_an_error_tells_what_that_says_and_does_not_keep_the_error() -> None:
    about = say("Work item %(item)s is %(state)s.", item=Conflict(say("Resume it.")), state=Particular("odd", code=1))
    assert about == "Work item Resume it. is odd."
    assert translated(about) == translated(copy.deepcopy(about)) == "Auftrag Setze ihn fort. ist odd."


def marked() -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls that mark sentences, with where they stand."""
    for path in sorted(ROOT.joinpath("runtime").rglob("*.py")):
        text = path.read_text()
        if "from runtime.sentences import" in text and path.name != "sentences.py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "ngettext"):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_makemessages_finds_every_sentence_and_each_of_its_places_is_filled() -> None:
    texts, wrong = set(), []
    for place, call in marked():
        many = 2 if isinstance(call.func, ast.Name) and call.func.id == "ngettext" else 1
        told = [one.value if isinstance(one, ast.Constant) else None for one in call.args[:many]]
        named = {one.arg for one in call.keywords} | ({"count"} if many == 2 else set())
        if not all(isinstance(one, str) for one in told):
            wrong.append(f"{place} is no text that can be found")
            continue
        texts |= set(told)
        used = {name for one in told for name in PLACE.findall(str(one))}
        wrong += [f"{place} {named ^ used}"] * (used != named)
    assert wrong == []
    assert {"Only failed items are redriven.", "Resource %(key)s is held by item %(item)s%(on)s since %(at)s."} <= texts
    assert len(texts) > 250
