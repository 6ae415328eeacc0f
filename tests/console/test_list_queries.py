"""Lists of what people set, and of what is kept aside, cost what one row costs, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from runtime.models import DoneRequest, Limit, Offloaded, PrunedHistory
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.tokens import create_token
from runtime.operations.triggers import set_trigger
from runtime.operations.webhooks import set_webhook
from tests.console.roles import MODELS
from tests.console.test_lists import FACTORIES, address, queries_of
from tests.factories import ArtifactFactory, WorkItemFactory, now


def _offloaded(number: int) -> Any:
    blob = ArtifactFactory(content=f"content {number}".encode()).blob
    return Offloaded.objects.create(work_item=WorkItemFactory(), place="state", version=1, blob=blob)


MAKERS: dict[str, Callable[[int], Any]] = {
    "apitoken": lambda number: create_token(f"token-{number}", scopes=["read"], namespaces=["default"]),
    "blob": lambda number: ArtifactFactory(content=f"content {number}".encode()),
    "donerequest": lambda number: DoneRequest.objects.create(key=f"{number:064}", asked="c" * 64, done_at=now()),
    "limit": lambda number: Limit.objects.create(name=f"limit-{number}", concurrency=1),
    "offloaded": _offloaded,
    "prunedhistory": lambda _number: PrunedHistory.objects.create(work_item=WorkItemFactory(), pruned_at=now()),
    "schedule": lambda number: set_schedule(f"every-{number}", engine="counter", payload={"count_to": 3}, every=60),
    "trigger": lambda number: set_trigger(
        f"next-{number}", engine="refund", on="failed", target="counter", payload={"count_to": 1}
    ),
    "webhook": lambda number: set_webhook(f"hook-{number}", engine="counter", verifier="github", secret="s" * 30),
    "webhooktarget": lambda number: set_target(
        f"target-{number}", url="https://ops.example/", events=["done"], secret="s" * 30
    ),
}
ONE_ROW = {"eventhorizon"}
"""Tables that never have more."""
QUERIES = 4
"""Session, user, count, rows."""


def test_every_table_is_listed_with_one_row_and_with_fifty() -> None:
    assert {model._meta.model_name for model in FACTORIES} | MAKERS.keys() | ONE_ROW == set(MODELS)


@pytest.mark.parametrize("name", MAKERS)
def test_fifty_rows_cost_the_queries_of_one(name: str, boss: Client) -> None:
    listing = address(MODELS[name])
    MAKERS[name](0)
    one = queries_of(boss, listing)
    for number in range(1, 50):
        MAKERS[name](number)
    assert len(MODELS[name]._default_manager.all()) == 50
    fifty = queries_of(boss, listing)
    assert len(fifty) == len(one), fifty
    assert len(one) <= QUERIES, one
