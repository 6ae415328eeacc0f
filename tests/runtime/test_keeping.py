"""Policies for snapshots: pure."""

from __future__ import annotations

import pytest
from django.test import override_settings

from runtime import keeping
from runtime.engine import Continue, engine
from runtime.exceptions import EngineLoadError, InvalidInput
from runtime.registry import _load

WRONG = ["", "some", "interval", "interval()", "interval(0)", "interval(-3)", "interval(1.5)", "full ", None, 3]

flat = engine(snapshots="now and then")(Continue)


def test_full_drops_nothing() -> None:
    assert not any(keeping.parse("full").drops(version) for version in range(100))


def test_compact_drops_every_version_but_the_latest() -> None:
    assert all(keeping.parse("compact").drops(version) for version in range(100))


def test_an_interval_keeps_the_first_and_every_nth() -> None:
    policy = keeping.parse("interval( 20 )")
    assert [version for version in range(65) if not policy.drops(version)] == [0, 20, 40, 60]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_policy_is_refused_and_told_what_there_is(text: object) -> None:
    with pytest.raises(InvalidInput, match=r"Use full, interval\(20\)"):
        keeping.parse(text)  # type: ignore[arg-type]


def test_the_setting_wins_over_the_engine() -> None:
    with override_settings(ROOST_SNAPSHOTS={"counter": "compact"}):
        assert keeping.of("counter", "full") == keeping.COMPACT
        assert keeping.of("other", "interval(2)") == keeping.Keeping(2)


def test_an_engine_with_a_wrong_policy_is_not_loaded() -> None:
    with pytest.raises(EngineLoadError, match=r"snapshots.*'now and then'"):
        _load("flat", f"{__name__}.flat")


def test_versions_are_told_as_spans() -> None:
    assert keeping.in_words([0, 20, 40, 41, 42]) == "0, 20, 40-42"
    assert keeping.in_words([]) == "none"
