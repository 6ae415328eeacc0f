"""Operations called in a person's name leave alone what is in a namespace out of their reach."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from runtime import artifacts, reach
from runtime.exceptions import Forbidden, NotFound, RoostError
from runtime.models import ApiToken, Event, Limit, Resource, Schedule, Signal, Webhook, WorkItem
from runtime.operations.acknowledge import acknowledge
from runtime.operations.approve import approve
from runtime.operations.attach import attach
from runtime.operations.base import OnItem
from runtime.operations.cancel import Cancel, cancel
from runtime.operations.drain_worker import drain_worker
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import Fork, fork
from runtime.operations.hold import hold, unhold
from runtime.operations.import_run import import_run
from runtime.operations.limits import remove_limit, set_limit
from runtime.operations.pause import pause
from runtime.operations.prioritise import prioritise
from runtime.operations.prune import prune
from runtime.operations.prune_history import prune_history
from runtime.operations.prune_signals import prune_signals
from runtime.operations.redrive import redrive
from runtime.operations.reject import reject
from runtime.operations.release import release
from runtime.operations.requeue import requeue
from runtime.operations.reset_call import reset_call
from runtime.operations.resource_capacity import set_capacity
from runtime.operations.respond import respond
from runtime.operations.resume import resume
from runtime.operations.schedule_moves import (
    PauseSchedule,
    ResumeSchedule,
    RunSchedule,
    ScheduleMove,
    pause_schedule,
    resume_schedule,
    run_schedule,
)
from runtime.operations.schedules import remove_schedule, set_schedule
from runtime.operations.signal import SignalItem, send_signal
from runtime.operations.targets import remove_target, set_target
from runtime.operations.tokens import create_token, revoke_token, rotate_token
from runtime.operations.triggers import remove_trigger, set_trigger
from runtime.operations.webhooks import remove_webhook, rotate_secret, set_webhook, turn_webhook
from runtime.store import get_store
from tests.factories import WaitFactory, WorkerFactory, WorkItemFactory

pytestmark = pytest.mark.django_db
THEIRS = "theirs"
MOMENT = "2026-01-31T12:00:00Z"
RUN = {"engine": "counter", "state": "done", "max_attempts": 5, "run_at": MOMENT, "created_at": MOMENT}
PAYLOAD = {"count_to": 1}

OnOne = Callable[..., Any]
ON_ITEMS: dict[str, OnOne] = {
    "acknowledge": acknowledge,
    "approve": approve,
    "attach": lambda item, **told: attach(item, artifacts.prepare("a.txt", b"bytes"), **told),
    "cancel": cancel,
    "check": lambda item, **told: Cancel(item, **told).check(),
    "follow_up": follow_up,
    "fork": fork,
    "hold": hold,
    "pause": pause,
    "prioritise": lambda item, **told: prioritise(item, 3, **told),
    "redrive": redrive,
    "reject": reject,
    "release": release,
    "requeue": requeue,
    "reset_call": lambda item, **told: reset_call(item, "call", **told),
    "respond": lambda item, **told: respond(item, "yes", **told),
    "resume": resume,
    "signal": lambda item, **told: SignalItem(item, "go", **told).execute(),
    "unhold": unhold,
}
"""Every verb on an item."""


def namespaces_of(user: Any) -> Any:
    return ["ours"] if user.username == "limited" else None


@pytest.fixture
def limited(settings: Any) -> User:
    """Give somebody who may do everything, in one namespace."""
    settings.ROOST_NAMESPACES_OF = f"{__name__}.namespaces_of"
    return User.objects.create_superuser("limited")


@pytest.fixture
def boss(settings: Any) -> User:
    """Give somebody who may do everything everywhere."""
    settings.ROOST_NAMESPACES_OF = f"{__name__}.namespaces_of"
    return User.objects.create_superuser("boss")


def told(call: Callable[[], Any]) -> tuple[type[RoostError], str]:
    """Return what a call is refused with."""
    with pytest.raises(RoostError) as refusal:
        call()
    return type(refusal.value), str(refusal.value)


def everything() -> list[Any]:
    tables: tuple[Any, ...] = (WorkItem, Event, Schedule, Webhook, Limit, Resource, Signal, ApiToken)
    return [row for table in tables for row in table.objects.order_by("pk").values_list()]


def verbs(cls: type[Any]) -> set[type[Any]]:
    return {cls, *(sub for one in cls.__subclasses__() for sub in verbs(one))}


def test_every_verb_on_an_item_is_tried() -> None:
    named = {one.__module__.rpartition(".")[2] for one in verbs(OnItem) if one.__module__.startswith("runtime.")}
    # Of trusted code alone: workers and `roost` use them.
    assert named - {"base", "answering", "force_failure", "take_up"} <= set(ON_ITEMS) | {"hold"}


@pytest.mark.parametrize("verb", ON_ITEMS)
@pytest.mark.parametrize("state", ["failed", "waiting", "running", "paused", "legal_hold"])
def test_an_item_out_of_reach_is_not_there(verb: str, state: str, limited: User) -> None:
    theirs = WorkItemFactory(namespace=THEIRS, **{state: True})
    before, nowhere = everything(), uuid.uuid4()
    kind, words = told(lambda: ON_ITEMS[verb](theirs.pk, by=limited, reason="because"))
    missing = told(lambda: ON_ITEMS[verb](nowhere, by=limited, reason="because"))
    assert (kind, words.replace(str(theirs.pk), str(nowhere))) == missing
    assert kind is NotFound
    assert everything() == before


def test_an_item_in_reach_is_there(limited: User, boss: User) -> None:
    ours, theirs = WorkItemFactory(namespace="ours"), WorkItemFactory(namespace=THEIRS)
    assert cancel(ours.pk, by=limited).state == "cancelled"
    assert cancel(theirs.pk, by=boss).state == "cancelled"
    assert hold(theirs.pk, actor="the product", reason="court").legal_hold


@pytest.mark.parametrize("verb", [approve, reject, respond])
def test_a_wait_out_of_reach_is_not_there_and_does_not_tell_its_item(verb: Any, limited: User) -> None:
    wait = WaitFactory(work_item__namespace=THEIRS, kind="input" if verb is respond else "approval")
    nowhere, value = uuid.uuid4(), {"value": "yes"} if verb is respond else {}
    kind, words = told(lambda: verb(wait=wait.pk, by=limited, reason="no", **value))
    assert (kind, words.replace(str(wait.pk), str(nowhere))) == told(
        lambda: verb(wait=nowhere, by=limited, reason="no", **value)
    )
    assert str(wait.work_item_id) not in words


NAMED: dict[str, OnOne] = {
    "enqueue": lambda by: enqueue("counter", PAYLOAD, namespace=THEIRS, by=by),
    "enqueue_default": lambda by: enqueue("counter", PAYLOAD, by=by),
    "enqueue_many": lambda by: enqueue_many([{"engine": "counter", "payload": PAYLOAD, "namespace": THEIRS}], by=by),
    "import": lambda by: import_run(
        {"format": "roost-run", "format_version": 1, "item": {**RUN, "namespace": THEIRS}}, by=by
    ),
    "import_into": lambda by: import_run(
        {"format": "roost-run", "format_version": 1, "item": RUN}, namespace=THEIRS, by=by
    ),
    "send_signal": lambda by: send_signal("go", namespace=THEIRS, by=by),
    "send_signal_default": lambda by: send_signal("go", by=by),
    "set_capacity": lambda by: set_capacity("gpu", 2, namespace=THEIRS, by=by),
    "set_schedule": lambda by: set_schedule(
        "new", namespace=THEIRS, engine="counter", payload=PAYLOAD, every=60, by=by
    ),
    "change_schedule": lambda by: set_schedule("nightly", namespace=THEIRS, note="mine", by=by),
    "set_webhook": lambda by: set_webhook("new", namespace=THEIRS, engine="counter", verifier="github", by=by),
    "change_webhook": lambda by: set_webhook("hook", namespace=THEIRS, note="mine", by=by),
    "create_token": lambda by: create_token("mine", scopes=["read"], namespaces=["ours", THEIRS], by=by),
    "create_token_for_all": lambda by: create_token("mine", scopes=["read"], namespaces=["*"], by=by),
}
"""What names a namespace out of reach: refused, whether anything is there or not."""

EVERYWHERE: dict[str, OnOne] = {
    "set_limit": lambda by: set_limit("cap", namespace="ours", concurrency=1, by=by),
    "remove_limit": lambda by: remove_limit("cap", by=by),
    "set_trigger": lambda by: set_trigger(
        "next", namespace="ours", engine="refund", target="counter", payload=PAYLOAD, by=by
    ),
    "remove_trigger": lambda by: remove_trigger("next", by=by),
    "set_target": lambda by: set_target("ops", url="https://ops.example/", events=["done"], namespace="ours", by=by),
    "remove_target": lambda by: remove_target("ops", by=by),
    "drain_worker": lambda by: drain_worker(WorkerFactory().pk, by=by),
    "prune": lambda by: prune(by=by),
    "prune_theirs": lambda by: prune(namespace=THEIRS, by=by),
    "prune_history": lambda by: prune_history(by=by),
    "prune_signals": lambda by: prune_signals(by=by),
}
"""What concerns the whole installation."""

MISSING: dict[str, OnOne] = {
    "remove_schedule": lambda by, name: remove_schedule(name, namespace=THEIRS, by=by),
    "pause_schedule": lambda by, name: pause_schedule(name, namespace=THEIRS, by=by),
    "resume_schedule": lambda by, name: resume_schedule(name, namespace=THEIRS, by=by),
    "run_schedule": lambda by, name: run_schedule(name, namespace=THEIRS, by=by),
    "remove_webhook": lambda by, name: remove_webhook(name, namespace=THEIRS, by=by),
    "rotate_secret": lambda by, name: rotate_secret(name, namespace=THEIRS, by=by),
    "turn_webhook": lambda by, name: turn_webhook(name, enabled=False, namespace=THEIRS, by=by),
    "rotate_token": lambda by, name: rotate_token(name, by=by),
    "revoke_token": lambda by, name: revoke_token(name, by=by),
}
"""What looks for something by its name."""


def furnish(name: str) -> None:
    """Make a schedule, a webhook and a token of theirs under this name."""
    set_schedule(name, namespace=THEIRS, engine="counter", payload=PAYLOAD, every=60)
    set_webhook(name, namespace=THEIRS, engine="counter", verifier="github")
    create_token(name, scopes=["read"], namespaces=["ours", THEIRS])


@pytest.mark.parametrize("name", NAMED)
def test_a_namespace_out_of_reach_is_refused_by_name(name: str, limited: User) -> None:
    set_schedule("nightly", namespace=THEIRS, engine="counter", payload=PAYLOAD, every=60)
    set_webhook("hook", namespace=THEIRS, engine="counter", verifier="github")
    before = everything()
    kind, _words = told(lambda: NAMED[name](limited))
    assert kind is Forbidden
    assert everything() == before


@pytest.mark.parametrize("name", [*NAMED, "prune_ours"])
def test_who_reaches_it_is_not_refused(name: str, boss: User) -> None:
    furnish("nightly")
    furnish("hook")
    assert name not in NAMED or NAMED[name](boss) is not None


@pytest.mark.parametrize("name", EVERYWHERE)
def test_what_concerns_everybody_takes_reach_to_all(name: str, limited: User) -> None:
    before = everything()
    kind, words = told(lambda: EVERYWHERE[name](limited))
    assert (kind, "reaches all namespaces" in words) == (Forbidden, True)
    assert everything() == before


def test_ended_items_of_a_namespace_are_pruned_by_who_reaches_it(limited: User) -> None:
    assert prune(namespace="ours", by=limited).items == 0


@pytest.mark.parametrize("name", MISSING)
def test_what_is_found_by_name_out_of_reach_is_not_there(name: str, limited: User) -> None:
    furnish("thing")
    before = everything()
    kind, words = told(lambda: MISSING[name](limited, "thing"))
    assert (kind, words.replace("thing", "other")) == told(lambda: MISSING[name](limited, "other"))
    assert kind is NotFound
    assert everything() == before


@pytest.mark.parametrize("move", [PauseSchedule, ResumeSchedule, RunSchedule])
def test_a_schedule_out_of_reach_is_not_found_by_its_id_either(move: type[ScheduleMove], limited: User) -> None:
    furnish("thing")
    theirs, nowhere, before = Schedule.objects.get().pk, uuid.uuid4(), everything()
    kind, words = told(lambda: move(theirs, by=limited).execute())
    assert (kind, words.replace(str(theirs), str(nowhere))) == told(lambda: move(nowhere, by=limited).execute())
    assert kind is NotFound
    assert everything() == before


def test_a_fork_out_of_reach_is_not_found_by_its_key_either(limited: User) -> None:
    theirs = WorkItemFactory(namespace=THEIRS, done=True)
    fork(theirs.pk, idempotency_key="again")
    assert told(lambda: fork(theirs.pk, idempotency_key="again", by=limited))[0] is NotFound
    assert told(lambda: Fork(theirs.pk, idempotency_key="again", by=limited).check())[0] is NotFound


def test_a_parent_out_of_reach_is_not_there(limited: User) -> None:
    theirs, nowhere = WorkItemFactory(namespace=THEIRS).pk, uuid.uuid4()
    for call in (
        lambda parent: enqueue("counter", PAYLOAD, parent=parent, by=limited),
        lambda parent: enqueue_many([{"engine": "counter", "payload": PAYLOAD, "parent": parent}], by=limited),
    ):
        kind, words = told(lambda call=call: call(theirs))  # type: ignore[misc]
        assert (kind, words.replace(str(theirs), str(nowhere))) == told(lambda call=call: call(nowhere))  # type: ignore[misc]
        assert kind is NotFound


def test_a_signal_for_an_item_out_of_reach_finds_none(limited: User) -> None:
    theirs, nowhere = WorkItemFactory(namespace=THEIRS).pk, uuid.uuid4()
    kind, words = told(lambda: send_signal("go", item=theirs, by=limited))
    assert (kind, words.replace(str(theirs), str(nowhere))) == told(lambda: send_signal("go", item=nowhere, by=limited))
    assert not Signal.objects.exists()


@pytest.mark.parametrize("name", ["set_schedule", "change_schedule", "set_webhook", "change_webhook"])
def test_the_permission_that_is_missing_does_not_tell_whether_there_is_such_a_row(name: str, limited: User) -> None:
    furnish("nightly"), furnish("hook")
    limited.is_superuser = False
    limited.save()
    assert "out of reach" in told(lambda: NAMED[name](limited))[1]


def test_the_products_callable_is_asked_before_anything_is_locked(
    limited: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = WorkItemFactory(namespace="ours"), WorkItemFactory(namespace=THEIRS)
    steps: list[str] = []
    store = type(get_store())
    asked, move = reach._asked, store.move
    monkeypatch.setattr(reach, "_asked", lambda by: steps.append("asked") or asked(by))
    monkeypatch.setattr(store, "move", lambda *args, **said: steps.append("locks") or move(*args, **said))
    with pytest.raises(NotFound):
        cancel(theirs.pk, by=limited)
    assert steps == ["asked"], "nobody below an item out of reach is locked"
    assert cancel(mine.pk, by=limited).state == "cancelled"
    assert steps == ["asked", "locks"]
