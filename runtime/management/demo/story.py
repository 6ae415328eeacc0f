"""The demo: an item watches a page, its worker is killed in the middle of a step, another one goes on."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command

from runtime.choices import TERMINAL, EventKind
from runtime.management.demo import proof
from runtime.management.demo.fleet import DemoFailed, Fleet, cleaning_up_on_sigterm
from runtime.management.demo.page import Page
from runtime.management.demo.proof import Claim
from runtime.management.roost.call import Call
from runtime.models import Artifact, Event, Lease, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import timeline

CHECKS = 5
BEFORE_THE_KILL = 2
DELAY_SECONDS = 0.5
PHASES = 6
CATCH_SECONDS = 30.0
HEIR_SECONDS = 20.0
DONE_SECONDS = 60.0


def tell(call: Call) -> None:
    """Tell the story; raises `DemoFailed` unless all of it was seen. Leaves no process behind."""
    with cleaning_up_on_sigterm():
        _Story(call).tell()


class _Story:
    """The demo's state from phase to phase."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.using = call.using
        self.folder = Path(os.environ["ROOST_DEMO_FOLDER"])
        self.started = time.monotonic()
        self.phase = 0
        self.served: Page | None = None

    def tell(self) -> None:
        self.prepare()
        with self.page() as url:
            item = self.enqueue(url)
            with Fleet("--processes", "2", log=self.folder / "runworker.log", using=self.using) as fleet:
                self.start(fleet)
                killed = self.kill(fleet, item.pk)
                self.wait(fleet, item.pk)
        self.conclude(item.pk, killed)

    def say(self, text: str, *, phase: bool = False) -> None:
        self.phase += phase
        mark = f"[{self.phase}/{PHASES}]" if phase else ""
        self.call.printer.line(f"{mark:<6} {time.monotonic() - self.started:5.1f} s  {text}")

    def prepare(self) -> None:
        """Make a fresh database: whatever an earlier demo left is removed."""
        for old in self.folder.glob("roost.sqlite3*"):
            old.unlink()
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        (self.folder / "runworker.log").unlink(missing_ok=True)
        # Roost's tables alone: a product's own may need another database than SQLite.
        call_command("migrate", "roost", verbosity=0, interactive=False)
        self.say(f"a fresh SQLite database: {settings.DATABASES['default']['NAME']}", phase=True)

    @contextmanager
    def page(self) -> Iterator[str]:
        if self.call.options["url"]:
            yield self.call.options["url"]
            return
        with Page() as self.served:
            yield self.served.url

    def enqueue(self, url: str) -> WorkItem:
        payload = {
            "url": url,
            "claim": "The page is reachable",
            "checks_required": CHECKS,
            "delay_seconds": DELAY_SECONDS,
        }
        resource = f"domain:{urlsplit(url).netloc or url}"
        item = enqueue("watchlist", payload, resources=[resource], actor=self.call.actor, using=self.using)
        self.say(f"enqueued item {item.pk}: look {CHECKS} times at {url}, holding {resource}", phase=True)
        return item

    def start(self, fleet: Fleet) -> None:
        self.say("starting `manage.py runworker --processes 2`", phase=True)
        ready = fleet.until_ready(2)
        self.say(f"worker processes {' and '.join(str(worker.pid) for worker in ready)} are up")

    def kill(self, fleet: Fleet, item: uuid.UUID) -> Worker:
        """Kill the item's worker while it holds the lease in the middle of a step, and see the recovery.

        A step may commit in the instant of the kill: then nothing was interrupted, and the next step is tried.
        """
        self.say(f"waiting for {BEFORE_THE_KILL} observations", phase=True)
        version = BEFORE_THE_KILL
        while True:
            lease = fleet.until(lambda: self._lease(item, version), CATCH_SECONDS, "a step in progress")  # noqa: B023
            holder, version = lease.worker, lease.work_item.version
            fleet.kill(holder)
            killed_at = time.monotonic()
            self.say(f"kill -9 {holder.pid}: it held the item, in the middle of step {version + 1}")
            fleet.until(lambda: self._is_over(item, lease), HEIR_SECONDS, "the end of its lease")  # noqa: B023
            recovered = self._recovery(item, lease)
            if recovered is not None:
                break
            self.say("the step had just committed: trying the next one")
            version += 1
        took = time.monotonic() - killed_at
        self.say(f"taken back after {took:.1f} s (event {recovered.seq}): it goes on from snapshot {version}")
        return holder

    def _lease(self, item: uuid.UUID, version: int) -> Lease | None:
        found = Lease.objects.using(self.using).filter(pk=item, work_item__version__gte=version, revoked_at=None)
        lease = found.select_related("worker", "work_item").first()
        if lease is None or self.served is None:
            return lease
        # The page was asked for this step, and takes its time to answer.
        return lease if self.served.hits > lease.work_item.version else None

    def _is_over(self, item: uuid.UUID, lease: Lease) -> bool:
        return not Lease.objects.using(self.using).filter(pk=item, epoch=lease.epoch).exists()

    def _recovery(self, item: uuid.UUID, lease: Lease) -> Event | None:
        """Return the event that tells of the recovery; there is none if the step had committed after all."""
        told = Event.objects.using(self.using).filter(work_item=item, kind=EventKind.RECOVERED)
        return told.filter(epoch__gte=lease.epoch).order_by("seq").first()

    def wait(self, fleet: Fleet, item: uuid.UUID) -> None:
        self.say("another worker goes on", phase=True)
        seen = BEFORE_THE_KILL

        def ended() -> str | None:
            nonlocal seen
            row = WorkItem.objects.using(self.using).only("state", "version", "step_label").get(pk=item)
            if row.version > seen:
                seen = row.version
                self.say(f"version {row.version}: {row.step_label}")
            return row.state if row.state in TERMINAL else None

        fleet.until(ended, DONE_SECONDS, "the end of the item")

    def conclude(self, item_id: uuid.UUID, killed: Worker) -> None:
        item = WorkItem.objects.using(self.using).get(pk=item_id)
        events = list(timeline.events(item.pk, limit=1000, using=self.using).rows)
        self.say("the timeline, and what it proves", phase=True)
        self._timeline(item, events, killed)
        files = list(Artifact.objects.using(self.using).filter(work_item=item).select_related("blob"))
        claims = [
            *proof.steps_once(item, events, steps=CHECKS),
            *proof.observed_once(item, checks=CHECKS),
            *proof.handed_over(events, killed.pk),
            Claim(holds=bool(files), text=f"{len(files)} artifact stored"),
            *(claim for file in files for claim in proof.stored(file)),
        ]
        self._verdict(item, claims, files)
        if not all(claim.holds for claim in claims):
            raise DemoFailed("Not everything that was promised was seen.")

    def _next(self, item: WorkItem) -> str:
        names = ("DJANGO_SETTINGS_MODULE", "ROOST_DEMO_PRODUCT", "ROOST_DEMO_FOLDER")
        lines = [
            f"  export {' '.join(f'{name}={shlex.quote(os.environ[name])}' for name in names)}",
            f"  {shlex.quote(sys.executable)} -m django roost inspect {item.pk}",
        ]
        if (Path(getattr(settings, "BASE_DIR", "")) / "Makefile").exists():
            lines.append("  make console    the admin, at http://127.0.0.1:8000/admin/ with a login that it prints")
        return "\n".join(lines)

    def _timeline(self, item: WorkItem, events: Sequence[Event], killed: Worker) -> None:
        pids = dict(Worker.objects.using(self.using).values_list("pk", "pid"))
        rows = (
            (
                event.seq,
                f"{(event.created_at - item.created_at).total_seconds():.2f} s",
                event.kind,
                event.version,
                f"worker {pids.get(event.worker, '?')}{' (killed)' if event.worker == killed.pk else ''}"
                if event.worker
                else event.actor,
                event.reason_text,
            )
            for event in events
        )
        self.call.printer.line()
        self.call.printer.table(("event", "after", "kind", "version", "by", "what"), rows, empty="no event")
        self.call.printer.line()

    def _verdict(self, item: WorkItem, claims: Sequence[Claim], files: Sequence[Artifact]) -> None:
        line, verdict = self.call.printer.line, (item.result or {}).get("verdict")
        for claim in claims:
            line(f"  {'yes' if claim.holds else 'NO '}  {claim.text}")
        line(f"\nverdict   {verdict}")
        if self.served:
            line(f"the page was asked {self.served.hits} times: a step that is cut off is made again")
        for file in files:
            line(f"artifact  {file.name}  sha256 {file.sha256}")
        line(f"\nDone in {time.monotonic() - self.started:.0f} s. Look at it:\n{self._next(item)}")
        self.call.printer.document(
            {
                "id": str(item.pk),
                "state": item.state,
                "verdict": verdict,
                "artifacts": [{"name": file.name, "sha256": file.sha256} for file in files],
                "proof": [{"holds": claim.holds, "text": claim.text} for claim in claims],
                "seconds": round(time.monotonic() - self.started, 1),
            }
        )
