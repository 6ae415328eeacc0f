"""What people type into the search is read as they mean it, or refused with words that help."""

from __future__ import annotations

import pytest

from runtime.exceptions import InvalidInput
from runtime.queries import search
from runtime.queries.search import FIELDS, Term, parse


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("   ", []),
        ("invoice-7", [Term(field="", value="invoice-7")]),
        ('"schedule:7 x"', [Term(field="", value="schedule:7 x")]),
        ("engine:watchlist", [Term(field="engine", value="watchlist")]),
        ("  state:FAILED  ", [Term(field="state", value="failed")]),
        ('key:"order 17"', [Term(field="key", value="order 17")]),
        ("key:a:b", [Term(field="key", value="a:b")]),
        ("resource:domain:example.org", [Term(field="resource", value="domain:example.org")]),
        ("id:0197C2D1", [Term(field="id", value="0197c2d1")]),
        ("payload.user_id:42", [Term(field="payload", value="42", path=("user_id",))]),
        ('payload.user.e-mail:"a b"', [Term(field="payload", value="a b", path=("user", "e-mail"))]),
        ('payload.note:""', [Term(field="payload", value="", path=("note",))]),
        (
            "engine:a engine:b error:Timeout",
            [
                Term(field="engine", value="a"),
                Term(field="engine", value="b"),
                Term(field="error", value="Timeout"),
            ],
        ),
    ],
)
def test_terms_are_read(text: str, terms: list[Term]) -> None:
    assert list(parse(text)) == terms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("enigne:x", "There is no field 'enigne'"),
        ("schedule:7", 'is quoted: "schedule:7"'),
        ("state:broken", "There are: queued, running"),
        ("reason:weather", "There is no reason 'weather'"),
        ('key:"open', "a quote is open"),
        ('ke"y', "a quote is open, or stands inside a word"),
        ("engine:", "has no value"),
        ('engine:""', "has no value"),
        ('""', "empty quotes"),
        ("id:xyz", "is no id"),
        ("parent:0197c2d1", "is no whole id"),
        ("payload.:1", "names no value"),
        ("payload.a..b:1", "names no value"),
        (f"payload.{'a.' * 9}b:1", "8 keys at most"),
        ("x" * 1001, "at most 1000 are read"),
        ("a " * 21, "at most 20 are taken"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert said in str(refused.value)


def test_an_unknown_field_names_every_field_there_is() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse("enigne:x")
    assert [field.name for field in FIELDS if field.name not in str(refused.value)] == []


@pytest.mark.parametrize("field", [field for field in FIELDS if not field.example.endswith("…")], ids=lambda f: f.name)
def test_every_documented_example_can_be_typed(field: search.Field) -> None:
    [term] = parse(field.example)
    assert term.field == field.name.removesuffix(".KEY")


@pytest.mark.parametrize("value", ["plain", "two words", "a:b", "x'y", "ümlaut"])
def test_what_is_said_is_read_back(value: str) -> None:
    assert parse(search.said("engine", value)) == (Term(field="engine", value=value),)


@pytest.mark.parametrize(("text", "secret"), [("error:x", True), ("payload.a:1", True), ("key:x", False), ("x", False)])
def test_terms_that_tell_what_an_item_holds_are_known(text: str, secret: bool) -> None:
    assert [term.is_secret for term in parse(text)] == [secret]
