"""A pattern that somebody else wrote ends in time, or is not taken."""

from __future__ import annotations

import re

import pytest

from runtime.patterns import longest, trouble

pytestmark = pytest.mark.plain


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z0-9]+(-[a-z0-9]+)*$",
        r"^\d+(\.\d+)*$",
        r"(foo|bar)+",
        r"^[^@]+@[^@]+\.[^@]+$",
        r"(, ?\w+)*",
        r"^[A-Z]{2}\d{2}( ?[A-Z0-9]{4})*$",
        r"([a-z]+\d+)*",
        r"^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$",
        r"^#([0-9a-f]{3}){1,2}$",
        r"^(https?://)?[\w.-]+(/[\w.-]*)*$",
        r"^[^\W\d]\w*$",
        r"^é+(-é+)*$",
    ],
)
def test_patterns_of_forms_are_taken(pattern: str) -> None:
    assert trouble(pattern) == ""
    assert longest(pattern) >= 100


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(a+)+$", r"(a|a)*b", r"(a*)*", r"(a|aa)+$", r"(.*a){12}", r"(\w+\s?)*$", r"(x+x+)+y", r"([a-zA-Z]+)*"),
        *(
            r"(a?)*b",
            r"((a+)b?)*",
            r"(,a*a*)*b",
            r"(a|b|ab)*c",
            r"((?=a)a+)+",
            r"(a)\1+",
            r"(\D+[^x]+)*$",
            r"(?i)(aA?)+",
        ),
        *("a?" * 30 + "a" * 30, "(a|a)" * 20, "(a{0,9}){9}", "(é+ü?)+$", "(", "a" * 501, "(?P<x>a+)+(?(x)b|c)"),
    ],
)
def test_patterns_that_may_take_for_ever_are_not(pattern: str) -> None:
    assert trouble(pattern) != ""


@pytest.mark.parametrize(
    "pattern",
    [r".*.*.*=", r"^[^@]+@[^@]+\.[^@]+$", r".*=", r"\d+\d+\d+\d+x", r"(-a+)*(-b*)*c", r"\w*?(1{1,3}|b{1,3}){2}c"],
)
@pytest.mark.timeout(20)
def test_texts_are_bounded_so_that_the_rest_ends(pattern: str) -> None:
    assert trouble(pattern) == ""
    for letter in "a@1-":
        assert re.search(pattern, letter * min(longest(pattern), 10_000)) is None
