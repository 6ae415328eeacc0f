"""The kit lets Roost's stores pass, and catches each that breaks a promise."""

from __future__ import annotations

import json

import pytest

from runtime.conformance import check_store
from runtime.conformance.stores import LEVELS, look
from runtime.models import Worker, WorkItem
from runtime.store import get_store
from tests.runtime.conformance.broken_stores import BROKEN, Hoarding, broken


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("L17", "L23", "L28", "L40", "L45", "B4")
def test_the_store_of_this_database_keeps_every_promise() -> None:
    report = check_store(get_store())
    assert report.broken == [], str(report)
    assert list(report.levels) == ["basic", "concurrency", "fencing", "crash", "retention", "plan shape"]
    assert set(report.levels.values()) == {"kept"}
    assert json.loads(json.dumps(report.to_dict()))["ok"]
    assert not WorkItem.objects.exists()
    assert not Worker.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_store_that_breaks_a_promise_is_caught_at_its_level() -> None:
    passed = [
        f"{mixin.__name__} passes as {level}"
        for mixin, level, check in BROKEN
        if look(broken(mixin), level, check).verdict != "broken"
    ]
    assert passed == []
    assert {level for _, level, _ in BROKEN} == set(LEVELS)


@pytest.mark.django_db(transaction=True)
def test_a_report_says_what_is_broken_and_how() -> None:
    report = check_store(broken(Hoarding), levels=["retention"])
    assert not report.ok
    assert report.levels == {"retention": "broken"}
    assert "broken  A snapshot that a policy does not keep goes" in str(report)
    assert "The snapshots are [1, 2, 3, 4]." in str(report)
