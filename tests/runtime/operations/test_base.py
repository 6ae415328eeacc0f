"""What all verbs have in common: who may, who did, why, and no change without them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import transaction

from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion
from runtime.models import WorkItem
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.base import ItemOperation
from runtime.operations.cancel import Cancel, cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.hold import Hold
from runtime.operations.pause import Pause
from runtime.operations.prioritise import Prioritise
from runtime.operations.redrive import Redrive
from runtime.operations.release import Release
from runtime.operations.requeue import Requeue
from runtime.operations.resume import Resume
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, told, values

pytestmark = pytest.mark.django_db

Make = Callable[..., ItemOperation]
VERBS: dict[str, tuple[Make, dict[str, Any]]] = {
    "cancel": (Cancel, {}),
    "requeue": (Requeue, {"cancelled": True}),
    "redrive": (Redrive, {"failed": True}),
    "pause": (Pause, {}),
    "resume": (Resume, {"paused": True}),
    "release": (Release, {"running": True}),
    "acknowledge": (Acknowledge, {"failed": True}),
    "hold": (Hold, {}),
    "prioritise": (lambda item, **options: Prioritise(item, 7, **options), {}),
}
"""Each verb, and an item that it may be said to."""


def permitted(verb: str) -> User:
    """Return a user who may do this and nothing else."""
    user = User.objects.create(username=f"ada-{verb}")
    user.user_permissions.add(Permission.objects.get(codename=f"{verb}_workitem"))
    return user


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_says_who_did_it_and_why(verb: str) -> None:
    make, state = VERBS[verb]
    item = WorkItemFactory(**state)
    user = permitted(verb)
    make(item.pk, by=user, reason="  because  ").execute()
    event = last_event(item)
    assert (event.actor, event.reason) == (user.username, "because")
    assert fresh(item).row_version == item.row_version + 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("who", ["nobody", "anonymous"])
def test_a_verb_needs_its_permission(verb: str, who: str) -> None:
    make, state = VERBS[verb]
    item = WorkItemFactory(**state)
    before = values(item)
    user = AnonymousUser() if who == "anonymous" else User.objects.create(username="eve")
    operation = make(item.pk, by=user, reason="because")
    for attempt in (operation.check, operation.execute):
        with pytest.raises(Forbidden, match=rf"may not {verb}: the permission roost\.{verb}_workitem is missing"):
            attempt()
    assert values(item) == before


@pytest.mark.parametrize("verb", VERBS)
def test_check_changes_nothing(verb: str) -> None:
    make, state = VERBS[verb]
    item = WorkItemFactory(**state)
    before = values(item)
    make(item.pk, reason="because").check()
    assert values(item) == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_item_that_does_not_exist_is_named(verb: str) -> None:
    make, _state = VERBS[verb]
    missing = uuid.uuid4()
    operation = make(str(missing), reason="because")
    for attempt in (operation.check, operation.execute):
        with pytest.raises(NotFound, match=str(missing)):
            attempt()


@pytest.mark.parametrize("verb", VERBS)
def test_an_item_that_changed_since_it_was_looked_at_is_left_alone(verb: str) -> None:
    make, state = VERBS[verb]
    item = WorkItemFactory(**state)
    seen = item.row_version
    WorkItem.objects.filter(pk=item.pk).update(row_version=seen + 1)
    before = values(item)
    with pytest.raises(StaleVersion, match=f"changed since version {seen} was read; it is {item.state} now"):
        make(item.pk, reason="because", row_version=seen).execute()
    assert values(item) == before
    make(item.pk, reason="because", row_version=seen + 1).execute()


@pytest.mark.parametrize("wrong", ["", "123", None, 5, "\x00"])
def test_what_is_no_id_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="is no work item id"):
        cancel(wrong)


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b", "\ud800"])
def test_a_reason_that_cannot_be_kept_is_refused(reason: str) -> None:
    item = WorkItemFactory()
    with pytest.raises(InvalidInput) as caught:
        cancel(item.pk, reason=reason)
    assert caught.value.field == "reason"
    assert fresh(item).state == "queued"


def test_trusted_code_may_say_whom_it_acts_for() -> None:
    item = WorkItemFactory()
    cancel(item.pk, actor="importer")
    assert last_event(item).actor == "importer"


@pytest.mark.scenario("L32")
def test_a_verb_joins_the_callers_transaction(transactional_db: None) -> None:
    item = WorkItemFactory()
    before = values(item)
    with told() as heard:
        with transaction.atomic():
            cancel(item.pk)
            transaction.set_rollback(True)
        assert heard == []
        assert values(item) == before
        cancel(item.pk)
        assert f"recall:{item.pk}" in heard


def test_a_conflict_leaves_the_callers_transaction_usable(transactional_db: None) -> None:
    item = WorkItemFactory(done=True)
    with transaction.atomic():
        with pytest.raises(Conflict):
            cancel(item.pk)
        enqueue("echo")
    assert WorkItem.objects.count() == 2
