from __future__ import annotations

import pytest

from runtime.models import Limit
from runtime.store import get_store
from tests.contracts.builders import Hand, put
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


def test_a_limit_is_set_listed_changed_and_removed() -> None:
    run("limits", "set", "pages", "--engine", "watchlist", "--concurrency", 5, "--note", "be polite")
    listed = document("limits", "list")["limits"]
    assert [(one["name"], one["engine"], one["concurrency"], one["running"]) for one in listed] == [
        ("pages", "watchlist", 5, 0)
    ]
    assert "engine watchlist" in run("limits", "list")
    assert "0 of 5" in run("limits", "list")
    found = document("limits", "set", "pages", "--concurrency", "none", "--rate", 10, "--per-seconds", 60)["limit"]
    assert (found["concurrency"], found["rate"], found["note"], found["row_version"]) == (None, 10, "be polite", 2)
    assert "10 in 60 s, at most 10 at once, 10 now" in run("limits", "list")
    run("limits", "set", "pages", "--no-enabled")
    assert "disabled" in run("limits", "list")
    assert document("limits", "remove", "pages") == {"removed": "pages"}
    assert "No limit is set." in run("limits", "list")


def test_a_pool_is_capped_and_stopped() -> None:
    run("limits", "set", "gpus", "--pool", "gpu", "--concurrency", 0)
    assert "worker pool gpu" in run("limits", "list")
    put(pool="gpu"), put()
    assert [one.pool for one in Hand().claim()] == ["default"]


def test_the_list_counts_what_runs() -> None:
    run("limits", "set", "all", "--concurrency", 3, "--rate", 100, "--burst", 50)
    put()
    assert len(Hand().claim()) == 1
    [one] = document("limits", "list")["limits"]
    assert one["running"] == 1
    assert 49 <= one["steps_allowed_now"] <= 50


def test_a_limit_that_limits_nothing_or_makes_no_sense_is_refused() -> None:
    code, message = refused("limits", "set", "empty", "--engine", "counter")
    assert (code, "would limit nothing" in message) == (2, True)
    assert refused("limits", "set", "odd", "--rate", 0)[0] == 2
    assert refused("limits", "set", "odd", "--rate", 1, "--per-seconds", 0)[0] == 2
    assert refused("limits", "set", " ", "--rate", 1)[0] == 2
    assert refused("limits", "remove", "missing")[0] == 3
    run("limits", "set", "one", "--concurrency", 1)
    assert refused("limits", "set", "one", "--concurrency", "none")[0] == 2
    assert Limit.objects.count() == 1


def test_a_limit_holds_from_the_next_claim_on() -> None:
    put(), put()
    hand = Hand()
    running = hand.claim(limit=1)
    run("limits", "set", "stop", "--concurrency", 0)
    assert hand.claim() == []
    assert hand.commit(running[0], "done") == "done"
    run("limits", "set", "stop", "--concurrency", 1)
    assert len(get_store().claim(hand.request())) == 1
