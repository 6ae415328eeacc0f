from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L33")
def test_a_trigger_is_set_listed_changed_and_removed(settings: Any) -> None:
    settings.ROOST_TRIGGERS = {"coded": {"engine": "counter", "target": "watchlist", "on": "failed"}}
    arguments = ("--engine", "watchlist", "--target", "counter", "--payload", '{"count_to": "$result.n"}')
    run("triggers", "set", "count", *arguments, "--if", "result.n > 2", "--options", '{"priority": 2}')
    listed = document("triggers", "list")["triggers"]
    assert [(one["name"], one["source"], one["condition"]) for one in listed] == [
        ("coded", "settings", ""),
        ("count", "row", "result.n > 2"),
    ]
    told = run("triggers", "list")
    assert "watchlist done" in told
    assert "counter failed" in told
    found = document("triggers", "set", "count", "--on", "failed", "--no-enabled")["trigger"]
    assert (found["on"], found["enabled"], found["payload"], found["row_version"]) == (
        "failed", False, {"count_to": "$result.n"}, 2,
    )  # fmt: skip
    assert document("triggers", "remove", "count") == {"removed": "count"}
    settings.ROOST_TRIGGERS = {}
    assert "No trigger is set." in run("triggers", "list")


def test_what_makes_no_sense_is_refused() -> None:
    lead = ("--engine", "counter", "--target", "watchlist")
    assert refused("triggers", "set", "odd", *lead, "--if", "result =")[0] == 2
    assert refused("triggers", "set", "odd", *lead, "--payload", '"$x"')[0] == 2
    assert refused("triggers", "set", "odd", "--engine", "counter")[0] == 2
    assert refused("triggers", "set", "odd", "--engine", "counter", "--target", "nobody")[0] == 2
    assert refused("triggers", "remove", "odd")[0] == 3
