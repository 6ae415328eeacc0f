"""Check a store, level by level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import getdoc

from runtime.conformance.levels import basic, concurrency, crash, fencing, plans, retention
from runtime.conformance.report import Broken, Finding, Report, Untold
from runtime.conformance.stage import Stage
from runtime.store.base import Store

Check = Callable[[Stage], None]

LEVELS: dict[str, Sequence[Check]] = {
    "basic": basic.CHECKS,
    "concurrency": concurrency.CHECKS,
    "fencing": fencing.CHECKS,
    "crash": crash.CHECKS,
    "retention": retention.CHECKS,
    "plan shape": plans.CHECKS,
}


def check_store(store: Store, *, levels: Sequence[str] | None = None) -> Report:
    """Play every promise of the levels, by default all, on the store's database, and report.

    For a test database whose tables are migrated and in which nobody works: items, workers and resources under a name
    of their own are written, by several threads, and removed afterwards; on PostgreSQL tables are analysed. What is
    checked first does not decide whether the rest is. Raises nothing for a store that fails, whatever it raises.
    """
    findings = [
        look(store, level, check) for level, checks in LEVELS.items() for check in checks if level in (levels or LEVELS)
    ]
    return Report(subject=f"{type(store).__module__}.{type(store).__qualname__}", findings=findings)


def look(store: Store, level: str, check: Check) -> Finding:
    """Play one promise."""
    promise = (getdoc(check) or check.__name__).splitlines()[0].rstrip(".")
    try:
        with Stage(store) as stage:
            check(stage)
    except Broken as error:
        return Finding(level=level, promise=promise, verdict="broken", detail=str(error))
    except Untold as error:
        return Finding(level=level, promise=promise, verdict="untold", detail=str(error))
    except Exception as error:  # noqa: BLE001 - a store that raises where it must not does not conform
        return Finding(level=level, promise=promise, verdict="broken", detail=f"{type(error).__name__}: {error}")
    return Finding(level=level, promise=promise, verdict="kept")
