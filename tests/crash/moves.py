"""The scenario of an operator who makes every move there is."""

from __future__ import annotations

from runtime.models import Event, Limit, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.import_run import import_run
from runtime.operations.limits import set_limit
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.queries.export import export
from tests.crash.scenario import Scenario, World, item, told

FAILS = {"count_to": 1, "fail_at": 1, "fail_with": "permanent", "fail_times": 99}
COPIED = {"work_item__relation": "import"}


class Moves(Scenario):
    """Limit, cancel and requeue what runs, redrive what failed, follow up, fork, import."""

    name = "operator"

    def play(self, world: World) -> bool:
        if not Limit.objects.exists():
            set_limit("cap", concurrency=20)
        return all([_cancelled(), _requeued(), _redriven(), _followed_up()])

    def check(self, world: World) -> None:
        imported = WorkItem.objects.get(relation="import")
        assert told(imported, "imported") == 1
        kinds = ["cancelled", "requeued", "redriven", "followed_up"]
        counts = {kind: Event.objects.filter(kind=kind).exclude(**COPIED).count() for kind in kinds}
        # A requeue may be played by the fault, too.
        assert counts.pop("requeued") >= 1
        assert counts == {"cancelled": 1, "redriven": 1, "followed_up": 1}
        assert WorkItem.objects.filter(relation="fork").count() == 1
        assert WorkItem.objects.get(idempotency_key="again").version in (2, 3)


def _cancelled() -> bool:
    found = item("stopped", "hop", {"steps": 1, "sleep": 30})
    if found.state == "running":
        cancel(found.pk)
    return found.state == "cancelled"


def _requeued() -> bool:
    found = item("again", "hop", {"steps": 2, "sleep": 0.1})
    if found.state in ("running", "done") and not told(found, "requeued"):
        requeue(found.pk)
        return False
    return found.state == "done"


def _redriven() -> bool:
    found = item("fails", "counter", FAILS)
    if found.state == "failed" and not told(found, "redriven"):
        redrive(found.pk)
        return False
    return found.state == "failed"


def _followed_up() -> bool:
    found = item("reopened", "counter", {"count_to": 2})
    if found.state != "done":
        return False
    if not told(found, "followed_up"):
        follow_up(found.pk, "more")
        return False
    made = fork(found.pk, version=1, idempotency_key="fork")
    if not WorkItem.objects.filter(relation="import").exists():
        import_run(export(found.pk))
    return made.state == "done"
