"""Run items in the calling thread: for tests, and for whoever wants a step made now.

The same claim, the same steps and the same commit as in a worker, without lanes, heartbeat or sweep; a step must
not take longer than a lease.
"""

from __future__ import annotations

import asyncio
import uuid

from runtime import registry
from runtime.choices import State
from runtime.store.base import ClaimRequest, Outcome, Store
from runtime.worker import atomic, execute, outcomes
from runtime.worker.lanes import advance
from runtime.worker.run import Run


def run_inline(store: Store, request: ClaimRequest, *, max_steps: int | None = None) -> list[Outcome]:
    """Claim what is due and run each item until it leaves `running`; return the outcomes in order, fenced ones too.

    After `max_steps` steps of one item it goes back to the queue. Raises what the store raises.
    """
    written: list[Outcome] = []
    for claimed in store.claim(request):
        run = Run(claimed, registry.get(claimed.engine))
        steps = 0
        while True:
            steps += 1
            leaves = max_steps is not None and steps >= max_steps
            outcome, state = _one_step(store, request.worker, run, leaves)
            written.append(outcome)
            if state != State.RUNNING:
                break
            advance(run, outcome)
    return written


def _one_step(store: Store, worker: uuid.UUID, run: Run, leaves: bool) -> tuple[Outcome, str | None]:
    def shape(_run: Run, outcome: Outcome) -> Outcome:
        return outcomes.leave(outcome) if leaves else outcome

    if run.engine.is_async:
        outcome = shape(run, asyncio.run(execute.run_async(worker, run, store.using)))
        return outcome, store.commit([outcome]).get(run.id)
    try:
        return atomic.run_step(worker, run, store, shape)
    except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
        failure = outcomes.fail(worker, run, error)
        return failure, store.commit([failure]).get(run.id)
