"""What is asked under a key is done once, whoever asks again, and at the same time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from runtime import clock, faults
from runtime.exceptions import Conflict, IdempotencyConflict
from runtime.faults import InjectedFault, Plan
from runtime.models import DoneRequest, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.once import Asked, done_before, once
from tests.factories import WorkItemFactory
from tests.runtime.places import in_threads

pytestmark = pytest.mark.django_db
ASKED = Asked(owner="token:1", key="k", what="cancel it")


def count(asked: Asked = ASKED, about: Any = None) -> tuple[int, list[Any]]:
    """Do it twice; return how often it was done, and both answers."""
    done: list[str] = []

    def work() -> tuple[str, Any]:
        done.append("done")
        return "first", about

    answers = [once(asked, work, lambda kept: ("again", kept)) for _ in range(2)]
    return len(done), answers


def test_it_is_done_once_and_what_was_kept_is_told() -> None:
    assert done_before(ASKED) == (False, None)
    assert count(about={"item": "x"}) == (1, ["first", ("again", {"item": "x"})])
    assert done_before(ASKED) == (True, {"item": "x"})


def test_a_key_is_its_owners_and_for_one_request() -> None:
    assert count()[0] == 1
    assert count(Asked(owner="token:2", key="k", what="cancel it"))[0] == 1
    other = Asked(owner="token:1", key="k", what="cancel another")
    for ask in (lambda: count(other), lambda: done_before(other)):
        with pytest.raises(IdempotencyConflict, match="used for another request"):
            ask()
    row = DoneRequest.objects.order_by("pk")[0]
    assert "token" not in row.key
    assert "cancel" not in row.asked


def test_what_fails_is_not_known() -> None:
    item = WorkItemFactory(done=True)
    for _ in range(2):
        with pytest.raises(Conflict):
            once(ASKED, lambda: (cancel(item.pk), None), lambda _kept: item)
    assert not DoneRequest.objects.exists()


def test_a_rollback_of_the_caller_forgets_it() -> None:
    item = WorkItemFactory()
    with transaction.atomic():
        once(ASKED, lambda: (cancel(item.pk), None), lambda _kept: item)
        transaction.set_rollback(True)
    assert not DoneRequest.objects.exists()
    assert WorkItem.objects.get().state == "queued"


def test_old_keys_go_as_new_ones_come(settings: Any) -> None:
    for number in range(3):
        count(Asked(owner="o", key=str(number), what=""))
    settings.ROOST_API_KEY_SECONDS = 60.0
    with clock.shifted(dt.timedelta(seconds=61)):
        count(Asked(owner="o", key="new", what=""))
        assert DoneRequest.objects.count() == 2
        count(Asked(owner="o", key="newer", what=""))
    assert DoneRequest.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_many_that_race_one_does_it() -> None:
    done: list[int] = []

    def ask() -> str:
        return once(ASKED, lambda: (done.append(1) or "first", "kept"), str)

    answers = in_threads(4, ask)
    assert len(done) == 1
    assert sorted(answers) == ["first", "kept", "kept", "kept"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("point", "known"), [("once.before", False), ("once.after", True)])
def test_a_request_that_was_cut_off_is_done_and_known_or_neither(point: str, known: bool) -> None:
    item = WorkItemFactory()
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        once(ASKED, lambda: (cancel(item.pk), None), lambda _kept: item)
    assert done_before(ASKED)[0] is known
    assert WorkItem.objects.get().state == ("cancelled" if known else "queued")
