"""The judge of the soak: silent about what is right, and it sees each thing that must not be."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime import artifacts
from runtime.models import Artifact, Event, JournalEntry, Schedule, WorkItem
from runtime.operations.schedules import set_schedule
from tests.factories import ArtifactFactory, EventFactory, JournalEntryFactory, WorkItemFactory
from tests.ledger.models import Entry
from tests.processes.service import Service
from tests.soak.injuries import Loss, Outage
from tests.soak.judge import judge
from tests.soak.load import SCHEDULE, Piece
from tests.soak.meters import recoveries

pytestmark = pytest.mark.django_db
REFUND = {"service": "http://127.0.0.1:1/refund-1", "order": "refund-1", "amount": 7}
PIECES = [
    Piece(key="counter-1", kind="counter", engine="counter", payload={"count_to": 2}),
    Piece(key="write-1", kind="write", engine="write", payload={"steps": 1}),
    Piece(key="gather-1", kind="gather", engine="gather", payload={"kids": 1, "engine": "hop"}),
    Piece(key="refund-1", kind="refund", engine="refund", payload=REFUND),
]
RESULTS = {
    "counter": {"count": 2},
    "write": {"n": 1},
    "gather": {"kids": ["done"], "word": "gather-1"},
    "refund": {"refunded": 7},
}
MOMENT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def service() -> Iterator[Service]:
    """Return a service that has been asked once for each thing that the refund and its letter want."""
    made = Service()
    for path in ("/refund-1/ratings", "/refund-1/payments", "/refund-1/letters"):
        made.requests[path] = 1
        made.effects[path] = {"key"}
    yield made
    made.server_close()


@pytest.fixture
def items() -> dict[str, WorkItem]:
    """Make what the pieces must have come to; return the items by engine."""
    found: dict[str, WorkItem] = {}
    for piece in PIECES:
        values = {"payload": piece.payload, "result": RESULTS[piece.kind], "version": piece.steps or 2}
        found[piece.engine] = done(piece.engine, idempotency_key=piece.key, **values)
    steps = {"payload": {"steps": 1}, "result": {"n": 1}}
    found["hop"] = done("hop", parent=found["gather"], relation="child", **steps)
    found["letter"] = done("letter", parent=found["refund"], relation="child", payload=REFUND)
    for engine, name in (("refund", "rating"), ("refund", "pay"), ("letter", "letter")):
        JournalEntryFactory(work_item=found[engine], key=name)
    Entry.objects.create(item=found["write"].pk, number=1, pid=1)
    ArtifactFactory(work_item=found["refund"])
    schedule = set_schedule(SCHEDULE, engine="hop", payload={"steps": 1}, every=1)
    Schedule.objects.update(fired_total=1)
    done("hop", idempotency_key=f"schedule:{schedule.pk}:{MOMENT}", **steps | {"payload": {"steps": 1, "at": MOMENT}})
    return found


def done(engine: str, **values: Any) -> WorkItem:
    """Make an item that has ended well, with an event for each of its steps."""
    item = WorkItemFactory(done=True, engine=engine, **{"version": 1, **values})
    for version in range(item.version):
        EventFactory(work_item=item, kind="step", version=version + 1)
    return item


def told(service: Service) -> set[tuple[str, str]]:
    """Return what the judge says of this load: what is wrong, and the first word of where."""
    return {(one.what, one.text.split()[0]) for one in judge(PIECES, service) if one.what != "invalid"}


def test_the_judge_is_silent_about_what_is_right(items: dict[str, WorkItem], service: Service) -> None:
    assert told(service) == set()


def forget(items: dict[str, WorkItem], engine: str) -> None:
    WorkItem.objects.filter(pk=items[engine].pk).update(idempotency_key="of somebody else")


def end_badly(items: dict[str, WorkItem], engine: str) -> None:
    WorkItem.objects.filter(pk=items[engine].pk).update(state="failed", reason="poison")


def another_moment() -> None:
    schedule = Schedule.objects.get()
    moment = dt.datetime.fromisoformat(MOMENT) + dt.timedelta(seconds=1)
    for number in range(2):
        key = f"schedule:{schedule.pk}:{moment.isoformat()} {number}"
        done("hop", idempotency_key=key, payload={"steps": 1, "at": moment.isoformat()}, result={"n": 1})
    Schedule.objects.update(fired_total=2)


Break = Callable[[dict[str, WorkItem], Service], Any]
BREAKS: dict[tuple[str, str, str], Break] = {
    ("lost", "counter-1", "no item"): lambda items, _: forget(items, "counter"),
    ("lost", "write-1", "failed"): lambda items, _: end_badly(items, "write"),
    ("lost", "child", "failed"): lambda items, _: end_badly(items, "hop"),
    ("lost", "counter-1", "another result"): lambda items, _: WorkItem.objects.filter(pk=items["counter"].pk).update(
        result={"count": 1}
    ),
    ("lost", "gather-1", "no child"): lambda items, _: WorkItem.objects.filter(pk=items["hop"].pk).update(parent=None),
    ("doubled", "gather-1", "a child more"): lambda items, _: done(
        "hop", parent=items["gather"], payload={"steps": 1}, result={"n": 1}
    ),
    ("lost", "counter", "no event of a step"): lambda items, _: Event.objects.filter(
        work_item=items["counter"], version=1, kind="step"
    ).delete(),
    ("doubled", "counter", "a step more"): lambda items, _: EventFactory(work_item=items["counter"], kind="step"),
    ("lost", "write", "no row"): lambda items, _: Entry.objects.all().delete(),
    ("doubled", "write", "a row more"): lambda items, _: Entry.objects.create(item=items["write"].pk, number=1, pid=2),
    ("lost", "refund", "no call"): lambda items, _: JournalEntry.objects.filter(key="pay").delete(),
    ("lost", "/refund-1/payments", "no effect"): lambda _, service: service.effects.pop("/refund-1/payments"),
    ("doubled", "/refund-1/payments", "two effects"): lambda _, service: service.effects["/refund-1/payments"].add("b"),
    ("doubled", "/refund-1/letters", "a request more"): lambda _, service: service.requests.update(
        ["/refund-1/letters"]
    ),
    ("lost", "refund", "no file"): lambda items, _: Artifact.objects.all().delete(),
    ("doubled", "refund", "a file more"): lambda items, _: ArtifactFactory(work_item=items["refund"], content=b"more"),
    ("doubled", "the", "a firing more"): lambda *_: another_moment(),
    ("lost", "the", "no item of a firing"): lambda *_: Schedule.objects.update(fired_total=2),
    ("stuck", "counter", "queued"): lambda *_: WorkItemFactory(),
}


@pytest.mark.parametrize("key", BREAKS, ids=" ".join)
def test_what_must_not_be_is_seen(key: tuple[str, str, str], items: dict[str, WorkItem], service: Service) -> None:
    what, where, _ = key
    BREAKS[key](items, service)
    assert (what, where) in told(service)


def test_content_that_is_gone_is_seen(items: dict[str, WorkItem], service: Service) -> None:
    [artifact] = Artifact.objects.select_related("blob")
    artifacts.delete(artifact.blob.path)
    assert ("lost", artifact.name) in told(service)


def test_what_roost_verify_finds_is_seen(items: dict[str, WorkItem], service: Service) -> None:
    WorkItem.objects.filter(pk=items["counter"].pk).update(event_seq=99)
    assert [one for one in judge(PIECES, service) if one.what == "invalid" and str(items["counter"].pk) in one.text]


class Injured:
    """What befell workers, as the meters read it."""

    def __init__(self, **values: list[Any]) -> None:
        self.kills: list[Loss] = values.get("kills", [])
        self.stops: list[Loss] = values.get("stops", [])
        self.outages: list[Outage] = values.get("outages", [])


def test_a_recovery_is_timed_from_the_loss_or_the_end_of_the_outage_to_the_next_claim() -> None:
    item, worker, began = WorkItemFactory(running=True), uuid.uuid4(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def at(seconds: float) -> dt.datetime:
        return began + dt.timedelta(seconds=seconds)

    Event.objects.all().delete()
    for seconds, kind in ((1.0, "recovered"), (2.5, "claimed"), (9.0, "claimed")):
        by = worker if kind == "recovered" else uuid.uuid4()
        EventFactory(work_item=item, kind=kind, worker=by, created_at=at(seconds))
    loss = Loss(at=at(0), worker=worker, held=frozenset([item.pk]))
    found: Any = recoveries(Injured(kills=[loss], stops=[loss]))  # type: ignore[arg-type]
    assert (found["killed"].most, found["stopped"].most, found["restart"].count) == (2.5, 2.5, 0)
    outage = Outage(began=at(-1), ended=at(0.5), how="fast", held={item.pk: uuid.uuid4()})
    found = recoveries(Injured(kills=[loss], outages=[outage]))  # type: ignore[arg-type]
    assert (found["killed"].count, found["restart"].count) == (0, 2)
    assert (found["restart"].p50, found["restart"].most) == (0.5, 2.0)
