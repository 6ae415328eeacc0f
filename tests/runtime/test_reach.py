"""Which namespaces somebody reaches, and that a mistake opens none."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import reach

pytestmark = [pytest.mark.plain]
HERE = __name__


def answer(user: Any) -> Any:
    """Answer what the test says, and count how often that is asked for."""
    user.asked += 1
    if isinstance(user.answer, Exception):
        raise user.answer
    return user.answer


def person(said: Any, **more: Any) -> Any:
    return SimpleNamespace(pk=7, is_authenticated=True, answer=said, asked=0, **more)


@pytest.fixture(autouse=True)
def divided(settings: Any) -> None:
    settings.ROOST_NAMESPACES_OF = f"{HERE}.answer"


def test_trusted_code_reaches_everything() -> None:
    assert reach.of(None) is None
    assert reach.reaches(None, "acme")


def test_without_the_setting_everybody_reaches_everything(settings: Any) -> None:
    settings.ROOST_NAMESPACES_OF = None
    user = person(["acme"])
    assert reach.of(user) is None
    assert (user.asked, reach.is_divided()) == (0, False)


@pytest.mark.parametrize("said", [None, "*", ["*"]])
def test_who_reaches_all_is_said_by_none_or_a_star(said: Any) -> None:
    assert reach.of(person(said)) is None


@pytest.mark.parametrize("said", [["acme", "default"], ("default", "acme"), iter(["acme", "default"])])
def test_others_reach_what_is_named(said: Any) -> None:
    user = person(said)
    assert reach.of(user) == {"acme", "default"}
    assert reach.reaches(user, "acme")
    assert not reach.reaches(user, "evil")


def test_who_reaches_nothing_is_said_by_no_names() -> None:
    assert reach.of(person([])) == frozenset()


def test_a_superuser_reaches_what_is_said_and_no_more() -> None:
    assert reach.of(person(["acme"], is_superuser=True)) == {"acme"}


NONSENSE = [
    "acme",
    b"acme",
    7,
    True,
    [None],
    ["acme", 7],
    [""],
    ["a" * 101],
    ["a\0b"],
    ["acme", "*"],
    [str(number) for number in range(1_001)],
    RuntimeError("the directory is away"),
]


@pytest.mark.parametrize("said", NONSENSE, ids=repr)
def test_nonsense_and_failures_open_nothing_and_are_logged(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "roost.reach"):
        assert reach.of(person(said)) == frozenset()
    [record] = caplog.records
    assert "user 7 reaches no namespace" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("path", ["nowhere.answer", f"{HERE}.nothing", f"{HERE}.NONSENSE", "answer"])
def test_a_callable_that_is_not_there_opens_nothing(path: str, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.ROOST_NAMESPACES_OF = path
    with caplog.at_level(logging.CRITICAL, "roost.reach"):
        assert reach.of(person(None)) == frozenset()


def test_nobody_reaches_nothing() -> None:
    assert reach.of(SimpleNamespace(is_authenticated=False)) == frozenset()


def test_a_user_is_asked_about_once() -> None:
    for said in (["acme"], None, RuntimeError("away")):
        user = person(said)
        assert [reach.of(user) for _ in range(3)].count(reach.of(user)) == 3
        assert user.asked == 1
