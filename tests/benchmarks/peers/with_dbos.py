"""DBOS: workflows called directly from four threads a process."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import work

THREADS = 4


def run(url: str, items: int, barrier: Any, times: Any) -> None:
    """Make the items' workflows in this process."""
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url.replace("postgresql://", "postgresql+psycopg://", 1)})

    @DBOS.step()
    def step(number: int) -> dict[str, Any]:
        return work.state(number + 1)

    @DBOS.workflow()
    def item() -> int:
        state = work.state(0)
        for _ in range(work.STEPS):
            state = step(state["n"])
        return int(state["n"])

    DBOS.launch()
    item()
    with ThreadPoolExecutor(THREADS) as pool:

        def body() -> None:
            ended = list(pool.map(lambda _: item(), range(items)))
            assert ended == [work.STEPS] * items

        work.timed(barrier, times, body)
    DBOS.destroy()


if __name__ == "__main__":
    work.in_processes(run, sys.argv[1], int(sys.argv[2]))
