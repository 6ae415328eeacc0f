"""The scenarios of the crash suite: small, and together past every fault point."""

from __future__ import annotations

import datetime as dt

from runtime import clock
from runtime.models import Artifact, Event, JournalEntry, ResourceClaim, Schedule, Signal, Wait, Worker, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.approve import approve
from runtime.operations.respond import respond
from runtime.operations.schedules import set_schedule
from runtime.operations.signal import send_signal
from runtime.store import get_store
from runtime.store.values import ClaimRequest
from runtime.worker.liveness import own_identity
from tests.crash.entrances import ENTRANCES
from tests.crash.moves import Moves
from tests.crash.scenario import Scenario, World, item, told
from tests.crash.upkeep import UPKEEP
from tests.ledger.models import Entry


class Count(Scenario):
    """Three async steps."""

    name = "counter"

    def play(self, world: World) -> bool:
        return item("count", "counter", {"count_to": 3}).state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get()
        assert (found.version, found.result) == (3, {"count": 3})


class Watch(Scenario):
    """Look at a page twice, and keep the evidence."""

    name = "watchlist"

    def play(self, world: World) -> bool:
        wanted = {"url": world.page, "checks_required": 2, "delay_seconds": 0}
        return item("watch", "watchlist", wanted).state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get()
        assert (found.version, found.result["verdict"], found.result["checks"]) == (2, "reachable", 2)
        assert Artifact.objects.get().sha256 == found.result["artifact"]


class Refund(Scenario):
    """Journal, approval, child, signal and artifact; a person answers what is in doubt."""

    name = "refund"

    def play(self, world: World) -> bool:
        order = {"service": world.service, "order": "A-7", "amount": 120}
        found = item("refund", "refund", order)
        if not Signal.objects.exists():
            send_signal("settled:A-7", {"bank": "ok"}, delivery_id="bank")
        for wait in Wait.objects.filter(work_item=found, state="open", kind__in=["approval", "input"]):
            if wait.kind == "approval":
                approve(found.pk, wait.key, actor="ann")
            else:
                respond(found.pk, wait.key, value=_happened(world, wait.key), actor="ann")
        return found.state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get(engine="refund")
        assert found.result["refunded"] == 120
        assert [world.effects(path) for path in ("/ratings", "/payments", "/letters")] == [1, 1, 1]
        assert Artifact.objects.get(work_item=found).name == "refund.json"
        assert WorkItem.objects.filter(engine="letter", state="done").count() == 1
        assert not JournalEntry.objects.exclude(state="succeeded").exists()


def _happened(world: World, key: str) -> dict[str, object]:
    """Answer for a call in doubt as somebody would who looks it up at the service."""
    path = {"journal:pay": "payments", "journal:rating": "ratings", "journal:send": "letters"}[key]
    if not world.effects(f"/{path}"):
        return {"happened": False}
    return {"happened": True, "result": {"id": f"{path}-1"}}


class Resources(Scenario):
    """Two items that need the same thing."""

    name = "resource"

    def play(self, world: World) -> bool:
        pair = [item(key, "hop", {"steps": 2}, resources=["gpu"]) for key in ("first", "second")]
        return all(one.state == "done" for one in pair)

    def check(self, world: World) -> None:
        assert list(WorkItem.objects.values_list("version", flat=True)) == [2, 2]
        assert not ResourceClaim.objects.exists()


class Ledger(Scenario):
    """Atomic steps, each with a row of the product's own."""

    name = "ledger"

    def play(self, world: World) -> bool:
        return item("ledger", "write", {"steps": 3}).state == "done"

    def check(self, world: World) -> None:
        assert WorkItem.objects.get().version == 3
        assert sorted(Entry.objects.values_list("number", flat=True)) == [1, 2, 3]


class Launch(Scenario):
    """A schedule that fires once."""

    name = "schedule"

    def play(self, world: World) -> bool:
        if not Schedule.objects.exists():
            moment = clock.now("default") + dt.timedelta(seconds=0.2)
            set_schedule("launch", engine="hop", payload={"steps": 1}, at=moment)
        return WorkItem.objects.filter(state="done").exists()

    def check(self, world: World) -> None:
        assert WorkItem.objects.count() == 1
        assert Schedule.objects.get().fired_total == 1


class Family(Scenario):
    """A parent that waits for a moment, for two children, and for a word."""

    name = "family"

    def play(self, world: World) -> bool:
        found = item("family", "gather", {"kids": 2, "engine": "hop"})
        if not Signal.objects.exists():
            send_signal("word", "go", item=found.pk, delivery_id="word")
        return found.state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get(engine="gather")
        assert found.result == {"kids": ["done", "done"], "word": "go"}
        assert list(WorkItem.objects.filter(parent=found).values_list("version", flat=True)) == [3, 3]


class Orphan(Scenario):
    """An item whose worker is gone with its host."""

    name = "orphan"

    def prepare(self, world: World) -> None:
        self.play(world)
        me, now = own_identity(), clock.now("default")
        gone = Worker.objects.create(
            id=new_id(),
            host=me.host,
            boot_id=me.boot_id,
            pid_namespace=me.pid_namespace,
            pid=me.pid,
            process_started="0",
            started_at=now,
            heartbeat_at=now,
            capacity=1,
        )
        request = ClaimRequest(worker=gone.pk, engines=None, pools=(), limit=1, alone=False)
        assert get_store().claim(request)

    def play(self, world: World) -> bool:
        return item("orphan", "hop", {"steps": 1}).state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get()
        assert found.version == 1
        assert told(found, "recovered") + told(found, "requeued") >= 1


class Stop(Scenario):
    """An operator sends a worker home in the middle of a step."""

    name = "stop"

    def play(self, world: World) -> bool:
        found = item("stop", "hop", {"steps": 1, "sleep": 0.5})
        lost = Event.objects.filter(work_item=found, kind__in=["released", "recovered", "requeued"])
        if found.state == "running" and not lost.exists():
            Worker.objects.exclude(state="offline").update(desired_state="offline")
        return found.state == "done"

    def check(self, world: World) -> None:
        found = WorkItem.objects.get()
        assert found.version == 1


SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        *(Count(), Watch(), Refund(), Resources(), Ledger(), Launch()),
        *(Family(), Moves(), Orphan(), Stop()),
        *ENTRANCES,
        *UPKEEP,
    )
}
