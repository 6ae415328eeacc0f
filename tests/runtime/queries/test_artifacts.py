from __future__ import annotations

import pytest

from runtime.exceptions import InvalidInput, NotFound
from runtime.queries import artifacts
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def test_artifacts_are_paged_oldest_first_and_only_the_items_own() -> None:
    item = rows.item()
    made = [rows.artifact(item, f"{n}.json", f"{n}" * 64) for n in range(3)]
    rows.artifact(rows.item(), "0.json", "0" * 64)
    first = artifacts.page(item.pk, limit=2)
    second = artifacts.page(item.pk, after=first.rows[-1].pk, limit=2)
    assert [*first.rows, *second.rows] == made


def test_a_name_means_the_latest_of_that_name() -> None:
    item = rows.item()
    rows.artifact(item, "log", "a" * 64, version=1)
    latest = rows.artifact(item, "log", "b" * 64, version=2)
    assert artifacts.get(item.pk, "log") == latest


def test_an_artifact_is_found_by_id_and_by_the_beginning_of_its_hash() -> None:
    item = rows.item()
    one = rows.artifact(item, "one", "a" * 64)
    assert artifacts.get(item.pk, str(one.pk)) == one
    assert artifacts.get(item.pk, "aaaaaaaa") == one
    rows.artifact(item, "two", "a" * 63 + "b")
    with pytest.raises(InvalidInput, match="more digits"):
        artifacts.get(item.pk, "aaaaaaaa")


def test_what_the_item_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match="has no artifact 'nothing'"):
        artifacts.get(rows.item().pk, "nothing")
