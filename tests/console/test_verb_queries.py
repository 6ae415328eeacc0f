"""What verbs ask of the database: their pages the same for one row and for fifty, confirming them so much for each."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.actions import Confirmation
from tests.console.roles import ASKED, MODELS
from tests.console.subjects import TYPED, chosen, subject, unfit
from tests.factories import WaitFactory, WorkItemFactory, now

PAGE = 5
"""Session, user, rows, and on some pages the clock, what speaks against them and what there is to choose from."""
MOST_EACH = 12
EACH = {"fork": 16, "acknowledge": 17, "approve": 17, "reject": 17, "cancel": 18, "signal": 20, "follow_up": 21}
"""Queries for each row that is confirmed, its savepoints too: `MOST_EACH` for the verbs that are not named."""
ALONE = frozenset({"respond"})
"""Verbs that are for one row at a time."""


def posted(client: Client, model: str, verb: str, rows: list[Any], **fields: str) -> tuple[Any, int]:
    """Post what names these rows; return the answer and how many queries that took."""
    shown = MODELS[model]._default_manager.filter(pk__in=[row.pk for row in rows])
    form = {"items": " ".join(str(Confirmation.of(row)) for row in shown), **fields}
    with CaptureQueriesContext(connection) as queries:
        answer = client.post(reverse(f"admin:roost_{model}_verb", args=[verb]), form)
    return answer, len(queries)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "verb"), [one for one in ASKED if one[1] not in ALONE], ids=lambda name: name)
def test_a_page_asks_for_fifty_rows_what_it_asks_for_one_and_confirming_them_so_much_for_each(
    model: str, verb: str, boss: Client
) -> None:
    pages, done = [], []
    for size in (1, 50):
        rows = [subject(model, verb) for _row in range(size)]
        asked, count = posted(boss, model, verb, rows)
        assert asked.context["eligible_count"] == size
        pages.append(count)
        confirmed, count = posted(boss, model, verb, rows, **TYPED, **chosen(verb, rows[0]))
        assert confirmed.status_code == 302
        done.append(count)
    assert pages[0] == pages[1]
    assert pages[0] <= PAGE
    assert done[1] - done[0] <= 49 * EACH.get(verb, MOST_EACH), done


def test_what_an_item_goes_back_to_is_read_when_it_goes_and_not_before(boss: Client) -> None:
    waited = WaitFactory(work_item=WorkItemFactory(paused=True, paused_from="waiting")).work_item
    later = WorkItemFactory(reason="delay", run_at=now() + dt.timedelta(hours=1))
    for verb, items in (("resume", [waited]), ("requeue", [later])):
        answer, count = posted(boss, "workitem", verb, items)
        assert answer.context["eligible_count"] == 1
        assert count <= PAGE
        many = [WaitFactory(work_item=WorkItemFactory(paused=True, paused_from="waiting")).work_item for _row in "123"]
        rows = many if verb == "resume" else [WorkItemFactory(reason="delay", run_at=later.run_at) for _row in "123"]
        assert posted(boss, "workitem", verb, rows)[1] == count


@pytest.mark.parametrize(("model", "verb"), ASKED, ids=lambda name: name)
def test_a_page_that_skips_twenty_rows_makes_the_queries_of_one(model: str, verb: str, boss: Client) -> None:
    counts = []
    for size in (1, 1 if verb in ALONE else 20):
        answer, count = posted(boss, model, verb, [unfit(model, verb) for _row in range(size)])
        assert answer.context["skipped_count"] == size
        counts.append(count)
    assert counts[0] == counts[1]
    assert counts[0] <= PAGE
