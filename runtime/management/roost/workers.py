"""`roost workers`: list worker processes, have one take no new work, and take work again."""

from __future__ import annotations

from collections.abc import Callable

from runtime.choices import WorkerState
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.models import Worker
from runtime.operations.drain_worker import drain_worker, resume_worker
from runtime.queries import words, workers
from runtime.queries.workers import WorkerView


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("workers", list_workers, about="List worker processes.")
    parser.add_argument("--all", action="store_true", help="Those that have stopped too.")
    group = Commands(parser.add_subparsers(metavar="COMMAND", dest="workers command"))
    _declare(group, "drain", drain_worker, "Let a worker finish its steps and take no new work, until it is resumed.")
    _declare(group, "resume", resume_worker, "Let a worker that drains take work again.")


def list_workers(call: Call) -> None:
    """List workers, with the age of their last heartbeat and what they run."""
    views = workers.views(offline=call.options["all"], using=call.using)
    call.printer.document({"workers": [shapes.worker(view) for view in views]})
    rows = (
        (
            view.worker.pk,
            view.worker,
            _state(view),
            f"{view.running}/{view.worker.capacity}",
            words.span(view.beat_age),
            ",".join(view.worker.engines) or "all",
            ",".join(view.worker.pools) or "all",
            words.release(view.worker.versions),
        )
        for view in views
    )
    headers = ("id", "process", "state", "running", "last beat", "engines", "pools", "release")
    call.printer.table(headers, rows, empty="No worker: start one with `manage.py runworker`.")


def _state(view: WorkerView) -> str:
    state = view.worker.desired_state if view.drains else view.worker.state
    quiet = not view.alive and state != WorkerState.OFFLINE
    return f"{state}, silent" if quiet else state


def _declare(group: Commands, verb: str, operation: Callable[..., Worker], about: str) -> None:
    def run(call: Call) -> None:
        found = workers.find(call.options["worker"], using=call.using)
        done = operation(found.worker.pk, actor=call.actor, using=call.using)
        call.printer.document({"verb": verb, "id": str(done.pk), "desired_state": done.desired_state})
        call.printer.line(f"{done.pk}  {done}  {done.desired_state} with its next heartbeat")

    parser = group.add(verb, run, about=about)
    parser.add_argument("worker", metavar="ID", help="The worker's id, or its first digits.")
