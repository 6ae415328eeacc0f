"""The work that every peer gets, and how it is timed. Standard library only: it runs in every peer's environment."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = 20
PROCESSES = 2
PADDING = "x" * 240


def state(number: int) -> dict[str, Any]:
    """Return the state after so many steps: about 300 bytes of JSON."""
    return {"n": number, "pad": PADDING}


def share(items: int) -> int:
    """Return how many items each process makes."""
    return items // PROCESSES


def in_processes(work: Callable[[str, int, Any, Any], None], url: str, items: int, per_item: int = STEPS) -> None:
    """Run `work(url, items, barrier, times)` in two processes and print the rate from the first start to the last end.

    Each process gets ready, waits at the barrier, and puts its (start, end) into `times`.
    """
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(PROCESSES), context.Queue()
    workers = [context.Process(target=work, args=(url, share(items), barrier, times)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    spans = [times.get(timeout=280) for _ in workers]
    for worker in workers:
        worker.join(timeout=20)
        if worker.is_alive():
            worker.kill()
    seconds = max(end for _start, end in spans) - min(start for start, _end in spans)
    tell(share(items) * PROCESSES * per_item / seconds)


def tell(per_second: float) -> None:
    """Print the answer."""
    sys.stdout.write(json.dumps({"per_second": per_second}) + "\n")


def timed(barrier: Any, times: Any, body: Callable[[], None]) -> None:
    """Wait for the others, do the work, and report when it began and ended."""
    barrier.wait(timeout=120)
    start = time.time()
    body()
    times.put((start, time.time()))
