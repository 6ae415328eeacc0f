"""Numbers are written as Prometheus reads them, whatever names people give their engines."""

from __future__ import annotations

import math

import pytest

from runtime.queries.exposition import Metric, metric, render


def test_a_metric_is_told_with_its_help_and_type() -> None:
    found = render([metric("roost_things", "How many\nthings \\ there are.", 3)])
    assert found == (
        "# HELP roost_things How many\\nthings \\\\ there are.\n# TYPE roost_things gauge\nroost_things 3\n"
    )


def test_labels_are_escaped_and_in_order() -> None:
    values = {(("engine", 'a"b\\c\nd'), ("state", "queued")): 1.0, (("engine", "a"), ("state", "queued")): 2.5}
    lines = render([Metric(name="roost_items", about="Items.", values=values)]).splitlines()[2:]
    assert lines == [
        'roost_items{engine="a",state="queued"} 2.5',
        'roost_items{engine="a\\"b\\\\c\\nd",state="queued"} 1',
    ]


def test_a_metric_without_numbers_is_known_all_the_same() -> None:
    assert "# TYPE roost_none gauge\n" in render([Metric(name="roost_none", about="Nothing.", values={})])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1e6, "1000000"), (0.1, "0.1"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_numbers_are_those_of_the_format(value: float, text: str) -> None:
    assert render([metric("m", "m", value)]).endswith(f"m {text}\n")
