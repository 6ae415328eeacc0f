from __future__ import annotations

import pytest

from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


def test_a_capacity_is_set_and_listed() -> None:
    found = document("resources", "set", "gpu", "--capacity", 4)["resource"]
    assert (found["namespace"], found["key"], found["capacity"]) == ("default", "gpu", 4)
    assert "gpu has a capacity of 2" in run("resources", "set", "gpu", "--capacity", 2, "--namespace", "acme")
    listed = document("resources", "--all")["resources"]
    assert {(one["namespace"], one["capacity"]) for one in listed} == {("default", 4), ("acme", 2)}
    assert document("resources", "--all", "--namespace", "acme")["resources"] == listed[:1]


def test_a_capacity_that_makes_no_sense_is_refused() -> None:
    assert refused("resources", "set", "gpu", "--capacity", -1)[0] == 2
    assert refused("resources", "set", " ", "--capacity", 1)[0] == 2
    assert "No resource" in run("resources", "--all")


def test_resources_are_listed_page_by_page() -> None:
    for namespace, key in (("acme", "z"), ("default", "a/b"), ("default", "c")):
        run("resources", "set", key, "--capacity", 1, "--namespace", namespace)
    page = document("resources", "--all", "--limit", 2)
    assert ([one["key"] for one in page["resources"]], page["next"]) == (["z", "a/b"], "default/a/b")
    last = document("resources", "--all", "--limit", 2, "--after", page["next"])
    assert ([one["key"] for one in last["resources"]], last["next"]) == (["c"], None)
    assert refused("resources", "--all", "--after", "2")[0] == 2
