"""Run the soak: load and faults beside each other, then peace until all is over, then the judgement."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from django.db import connections

from runtime.choices import TERMINAL
from runtime.models import Event, Lease, Worker, WorkItem
from runtime.queries import verify
from tests.postgres import PrivatePostgres
from tests.processes.fleet import Fleet
from tests.processes.service import Service, serving
from tests.soak import judge, meters
from tests.soak.faults import RESTART, Fault
from tests.soak.injuries import Injuries
from tests.soak.judge import Wrong
from tests.soak.load import Load
from tests.soak.meters import Scales, Times
from tests.soak.people import answer_all
from tests.soak.pooler import Pooler
from tests.soak.threads import AWAY, Repeated, insist

PATIENCE = 120.0
"""Seconds in which everything must have ended once there are no more faults."""
WAVE_SECONDS, WAVE = 0.5, 8
"""How often how many pieces of work are enqueued."""
BOT_SECONDS, WEIGH_SECONDS, VERIFY_SECONDS = 0.2, 5.0, 15.0
START_SECONDS = 30.0
HOUR = "3600"


@dataclass(frozen=True, kw_only=True)
class Team:
    """One `runworker` whose workers are victims: how many, behind the pooler or not, and its clock's error."""

    processes: int = 1
    pooled: bool = False
    skew: str = ""


USUAL = (Team(processes=2), Team(processes=2))
NIGHTLY = (Team(), Team(pooled=True), Team(pooled=True), Team(skew=HOUR))


@dataclass(frozen=True, kw_only=True)
class Came:
    """What a run came to."""

    seed: int
    seconds: float
    accepted: int
    items: int
    steps: int
    kills: int
    stops: int
    cuts: int
    outages: int
    failures: int
    missed: int
    pooled: int
    refused: int
    recovery: dict[str, Times]
    drained: float
    memory: dict[str, float]
    bloat: dict[str, tuple[float, float]]
    wrong: Sequence[Wrong] = field(default_factory=list)

    def count(self, what: str) -> int:
        """Return how much is lost, doubled, stuck or invalid."""
        return sum(one.what == what for one in self.wrong)


class Soak:
    """One run on a server of its own. `victims` are killed and stopped; `spared` is not, so that it can be weighed.

    With a `pooler` it is the nightly form.
    """

    def __init__(
        self,
        server: PrivatePostgres,
        url: str,
        folder: Path,
        seed: int,
        plan: Sequence[Fault],
        pooler: Pooler | None = None,
    ) -> None:
        self.seed = seed
        self.plan = plan
        self.pooler = pooler
        self.victims = _fleet(folder / "victims", url)
        self.spared = _fleet(folder / "spared", url)
        self.injuries = Injuries(server, self.victims, folder / "artifacts")
        self.scales = Scales()
        self.seen: list[Wrong] = []
        self.threads: list[Repeated] = []

    def run(self, seconds: float) -> Came:
        """Let load and faults come for so many seconds, wait for the end, and judge."""
        with serving() as service:
            load = Load(self.seed, service.url)
            try:
                self._start()
                load.begin()
                with self._beside(load, service):
                    self._suffer(seconds)
                    self.injuries.heal()
                drained = self._drain(load, service)
            finally:
                self.injuries.heal()
                self.victims.stop()
                self.spared.stop()
            return self._judge(load, service, seconds, drained)

    def _start(self) -> None:
        for team in USUAL if self.pooler is None else NIGHTLY:
            self.victims.launch("runworker", "--processes", str(team.processes), **self._surroundings(team))
        self.spared.launch("runworker", "--processes", "1")
        give_up_at = time.monotonic() + START_SECONDS
        while Worker.objects.filter(state="online").count() < 5:
            assert time.monotonic() < give_up_at, self.victims.log.read_text()[-3000:]
            time.sleep(0.05)

    def _surroundings(self, team: Team) -> dict[str, str]:
        """Return what makes this team's workers different from the others."""
        told = {"ROOST_PROCESS_CLOCK_SKEW": team.skew} if team.skew else {}
        if team.pooled and self.pooler is not None:
            told |= {"ROOST_PROCESS_DATABASE_URL": self.pooler.url, "ROOST_PROCESS_DIRECT_URL": self.pooler.direct}
        return told

    @contextmanager
    def _beside(self, load: Load, service: Service) -> Iterator[None]:
        """Let the load, the people and the meters work while the block runs."""
        self.threads = [
            Repeated("load", WAVE_SECONDS, lambda: load.wave(WAVE)),
            Repeated("people", BOT_SECONDS, lambda: answer_all(service)),
            Repeated("scales", WEIGH_SECONDS, lambda: self.scales.weigh(self._spared_workers())),
            Repeated("verify", VERIFY_SECONDS, self._verify),
        ]
        for thread in self.threads:
            thread.start()
        try:
            yield
        finally:
            for thread in self.threads:
                thread.end()

    def _suffer(self, seconds: float) -> None:
        """Carry out the plan; what befalls workers does not wait for a database that is away."""
        began = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            other = beside.submit(self._carry_out, began, [one for one in self.plan if one.kind != RESTART])
            # The server ends with the thread that started it: restarts are for this one.
            self._carry_out(began, [one for one in self.plan if one.kind == RESTART])
            other.result()
        self._sleep_until(began + seconds)

    def _carry_out(self, began: float, plan: Sequence[Fault]) -> None:
        for fault in plan:
            if not self._sleep_until(began + fault.at):
                break
            self.injuries.carry_out(fault)

    def _sleep_until(self, moment: float) -> bool:
        """Sleep; return False, early, when something beside has failed: the run is for nothing then."""
        while (left := moment - time.monotonic()) > 0:
            if not all(thread.is_alive() for thread in self.threads):
                return False
            time.sleep(min(left, 1.0))
        return True

    def _drain(self, load: Load, service: Service) -> float:
        """Enqueue no more, answer what is asked, and wait; return how long it took, `PATIENCE` if it never ended."""
        began = time.monotonic()
        insist(load.end, PATIENCE)
        while time.monotonic() < began + PATIENCE:
            with suppress(*AWAY):
                answer_all(service)
            if not WorkItem.objects.exclude(state__in=TERMINAL).exists():
                return time.monotonic() - began
            time.sleep(BOT_SECONDS)
        return PATIENCE

    def _spared_workers(self) -> list[int]:
        """Return the processes of the spared fleet that are workers."""
        pids = {one.pid for command in self.spared.commands for one in psutil.Process(command.pid).children(True)}
        return sorted(pids & set(Worker.objects.exclude(state="offline").values_list("pid", flat=True)))

    def _verify(self) -> None:
        """Look for what must not be, in the midst of it."""
        self.seen.extend(Wrong("invalid", f"during the run: {one}") for one in verify.everything())

    def _judge(self, load: Load, service: Service, seconds: float, drained: float) -> Came:
        connections.close_all()
        wrong = [*self.seen, *judge.judge(load.accepted.values(), service)]
        wrong.extend(Wrong("stuck", f"lease on {lease.pk} outlives the workers") for lease in Lease.objects.all())
        told: dict[str, Any] = {
            "accepted": len(load.accepted),
            "items": WorkItem.objects.count(),
            "steps": Event.objects.filter(kind="step").count(),
            "recovery": meters.recoveries(self.injuries),
            "memory": self.scales.told(),
            "bloat": meters.bloat(),
        }
        injuries = self.injuries
        counts = {"kills": injuries.kills, "stops": injuries.stops, "outages": injuries.outages}
        told |= {name: len(met) for name, met in counts.items()}
        told |= {"cuts": injuries.cuts, "failures": injuries.failures, "missed": injuries.missed}
        told["pooled"] = self.pooler.transactions() if self.pooler is not None else 0
        told["refused"] = Event.objects.filter(kind="retry", data__type="StorageUnavailable").count()
        return Came(seed=self.seed, seconds=seconds, drained=drained, wrong=wrong, **told)


def _fleet(folder: Path, url: str) -> Fleet:
    folder.mkdir()
    fleet = Fleet(folder, url)
    fleet.environment.pop("PGAPPNAME", None)
    fleet.environment["ROOST_PROCESS_STORAGE"] = "tests.soak.storage.FailingStorage"
    return fleet
