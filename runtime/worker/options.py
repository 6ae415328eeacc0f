"""Hold what an operator may choose when starting a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections

from runtime import registry
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput, UnknownEngine


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How a worker works; plain values, since they travel inside a ticket.

    `engines` None means all that are registered; `pools` empty means every pool. `once` runs what is due now and
    ends, `until_idle` goes on until nothing is due or running here, and nobody who is gone has work. Seconds are
    seconds.
    Raises `InvalidInput` for a value that cannot be meant.
    """

    engines: tuple[str, ...] | None
    processes: int
    concurrency: int
    pools: tuple[str, ...]
    once: bool
    until_idle: bool
    grace_seconds: float
    using: str

    def __post_init__(self) -> None:
        for field in ("processes", "concurrency"):
            if getattr(self, field) < 1:
                raise InvalidInput(f"{field} is {getattr(self, field)}; it must be 1 or more.", field=field)
        if not 0 <= self.grace_seconds < float("inf"):
            raise InvalidInput(f"grace is {self.grace_seconds} seconds; it must be 0 or more.", field="grace_seconds")
        if self.once and self.until_idle:
            raise InvalidInput("once and until-idle exclude each other: choose one.", field="once")
        if self.processes > 1 and self.in_this_process:
            raise InvalidInput(
                f"once and until-idle work in the current process, so processes cannot be {self.processes}; "
                "leave it out, or start several commands.",
                field="processes",
            )
        if self.engines is not None and not self.engines:
            raise InvalidInput("engines names none; name at least one, or 'all'.", field="engines")

    @classmethod
    def defaults(cls, using: str, **chosen: Any) -> WorkerOptions:
        """Fill in from the `ROOST_*` settings whatever was not chosen (is absent or None)."""
        in_this_process = chosen.get("once") or chosen.get("until_idle")
        values: dict[str, Any] = {
            "engines": None,
            "processes": 1 if in_this_process else roost.WORKER_PROCESSES,
            "concurrency": roost.WORKER_CONCURRENCY,
            "pools": (),
            "once": False,
            "until_idle": False,
            "grace_seconds": float(roost.GRACE_SECONDS),
        }
        return cls(using=using, **values | {name: value for name, value in chosen.items() if value is not None})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorkerOptions:
        """Rebuild what `to_dict` gave, also after a trip through JSON."""
        engines = values["engines"]
        return cls(**{**values, "engines": engines and tuple(engines), "pools": tuple(values["pools"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        values = asdict(self)
        return {**values, "engines": self.engines and list(self.engines), "pools": list(self.pools)}

    @property
    def in_this_process(self) -> bool:
        """Whether the work is done in the process that was started, without a pool."""
        return self.once or self.until_idle

    def require_known(self) -> None:
        """Raise an `InvalidInput` that names what there is if an engine or the database is unknown."""
        registered = registry.names()
        if not registered:
            raise UnknownEngine("There is no engine to run. Set ROOST_ENGINES.", field="engines")
        unknown = sorted(set(self.engines or ()) - set(registered))
        if unknown:
            raise UnknownEngine(
                f"No such engine: {', '.join(unknown)}. Available: {', '.join(registered)}.", field="engines"
            )
        if self.using not in connections:
            aliases = ", ".join(sorted(connections))
            raise InvalidInput(f"There is no database alias {self.using!r}. Available: {aliases}.", field="database")
