"""procrastinate: no-op jobs with 300 bytes of arguments, deferred before, 20 at once in each of two processes."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import work

CONCURRENCY = 20


def make_app(url: str) -> tuple[Any, Any]:
    """Return the app and its one task."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="item")
    async def item(state: dict[str, Any]) -> None:
        assert state["n"] == 0

    return app, item


def run(url: str, items: int, barrier: Any, times: Any) -> None:
    """Work until no job is left."""
    app, _item = make_app(url)

    async def main() -> None:
        async with app.open_async():
            await app.run_worker_async(wait=False, concurrency=CONCURRENCY, install_signal_handlers=False)

    work.timed(barrier, times, lambda: asyncio.run(main()))


async def prepare(url: str, items: int) -> None:
    """Make the tables and defer the jobs."""
    app, item = make_app(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await item.batch_defer_async(*({"state": work.state(0)} for _ in range(items)))


async def require_done(url: str, items: int) -> None:
    """Fail unless every job succeeded."""
    app, _item = make_app(url)
    async with app.open_async():
        done = list(await app.job_manager.list_jobs_async(status="succeeded"))
    assert len(done) == items, f"{len(done)} jobs of {items}"


if __name__ == "__main__":
    asyncio.run(prepare(sys.argv[1], int(sys.argv[2])))
    work.in_processes(run, sys.argv[1], int(sys.argv[2]), per_item=1)
    asyncio.run(require_done(sys.argv[1], int(sys.argv[2])))
