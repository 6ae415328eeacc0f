"""The causes and the invariants, told while a real store moves two items that want the same resource."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.models import WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.pause import pause
from runtime.operations.requeue import requeue
from runtime.queries import verify
from runtime.queries.why import why
from runtime.store import get_store
from runtime.store.values import ClaimRequest, Held
from tests.runtime.queries import rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("L29")]


def told(item: WorkItem) -> tuple[str, ...]:
    """Read the item again and return why it is where it is; nothing may be broken meanwhile."""
    assert list(verify.everything()) == []
    item.refresh_from_db()
    return why(item).codes


@pytest.mark.parametrize(
    ("verb", "then"), [(pause, ("paused",)), (cancel, ("cancelled",)), (requeue, ("due", "resource"))]
)
def test_a_waiter_and_a_holder_tell_the_truth_from_claim_to_release(
    verb: Callable[..., WorkItem], then: tuple[str, ...]
) -> None:
    store, by = get_store(), rows.worker()
    two = [enqueue("counter", {"count_to": 3}, resources=["page"]) for _ in range(2)]
    request = ClaimRequest(worker=by.pk, engines=None, pools=(), limit=5)
    [claimed] = store.claim(request)
    holder, waiter = sorted(two, key=lambda item: item.pk != claimed.id)
    assert (told(holder), told(waiter)) == (("running",), ("resource",))
    verb(waiter.pk)
    assert told(waiter) == then
    requeue(holder.pk)
    assert told(holder) == ("due", "letting_go")
    assert store.claim(request) == []
    assert told(holder) == ("letting_go",)
    store.acknowledge(by.pk, [Held(holder.pk, claimed.epoch)])
    assert told(holder) == ("due",)
    [again] = store.claim(request)
    assert again.id == holder.pk
    assert told(holder) == ("running",)
