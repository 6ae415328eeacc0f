"""Run one step on trial: what it decided, what it called and staged, and what it did when it was told to end."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime import jsondata
from runtime.asks import Answer, Ask
from runtime.engine import Complete, Continue, Engine, Fail, Item, Snapshot, Wait, WaitFor
from runtime.exceptions import Cancelled, RoostError
from runtime.journal.outside import Journal
from runtime.step import Suspend
from runtime.testing import RecordingContext, run_step, running, step

LET_GO_SECONDS = 5.0
"""A step that was cancelled has to end within this time."""


@dataclass
class TrialContext(RecordingContext):
    """A context that notes when it has told the step to end, or to wait."""

    told: list[str] = field(default_factory=list)

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the step should end, and remember it."""
        if self.cancelled:
            self.told.append("Cancelled")
        super().raise_if_cancelled()

    def ask(self, *asks: Any, **options: Any) -> Any:
        """Answer what is given; remember what is not."""
        try:
            return super().ask(*asks, **options)
        except Suspend:
            self.told.append("Suspend")
            raise


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How one run of a step ended. `decision` is None for one that raised `error` or asked (`asks`)."""

    decision: Any
    error: BaseException | None
    asks: Sequence[Ask]
    context: TrialContext
    changed_snapshot: bool

    @property
    def outcome(self) -> Any:
        """Return what the run came to, for comparison: plain data, children without their ids."""
        kids = {str(child["id"]): number for number, child in enumerate(self.context.children)}
        staged = [[child["engine"], child["payload"], child["relation"]] for child in self.context.children]
        files = {name: made.sha256 for name, made in self.context.artifacts.items()}
        return [_told(self), _without_ids(staged, kids), files, self.context.lines]

    @property
    def swallowed(self) -> str:
        """Name what the step was told and kept from Roost; nothing if it let it through."""
        ended = "Suspend" if self.asks else type(self.error).__name__
        return next((one for one in self.context.told if one != ended), "")


def trial(
    engine: Engine,
    item: Item,
    snapshot: Snapshot,
    *,
    journal: Journal,
    answers: Mapping[str, Answer] | None = None,
    attempt: int = 1,
    cancelled: bool = False,
) -> Trial:
    """Run the step on copies of what it is given."""
    context = TrialContext(
        attempt=attempt,
        idempotency_key=f"{item.id}:{snapshot.version + 1}",
        is_cancelled=cancelled,
        journal=journal,
        given=tuple((answers or {}).values()),
    )
    given = copy.deepcopy(snapshot)
    decision: Any = None
    error: BaseException | None = None
    asks: tuple[Ask, ...] = ()
    try:
        decision = run_step(engine, snapshot=given, context=context, item=copy.deepcopy(item))
    except Suspend as suspended:
        asks = tuple(suspended.asks)
    except Exception as raised:  # noqa: BLE001 - what an engine raises is what is looked at
        error = raised
    changed = not jsondata.same_json(given.data, snapshot.data)
    return Trial(decision=decision, error=error, asks=asks, context=context, changed_snapshot=changed)


def let_go(engine: Engine, item: Item, snapshot: Snapshot, journal: Journal) -> str:
    """Cancel an async step at its first pause, as a worker does; return what is wrong with how it ended."""
    return asyncio.run(_let_go(engine, copy.deepcopy(item), copy.deepcopy(snapshot), TrialContext(journal=journal)))


async def _let_go(engine: Engine, item: Item, snapshot: Snapshot, context: TrialContext) -> str:
    context.is_async, context.work_item = True, item
    with running(context):
        task = asyncio.ensure_future(step(engine, snapshot, item, context))
    await asyncio.sleep(0)
    if task.done():
        task.exception()
        return ""
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=LET_GO_SECONDS)
    if not done:
        return f"it went on for more than {LET_GO_SECONDS:g} s after it was cancelled"
    if task.cancelled() or isinstance(task.exception(), Cancelled):
        return ""
    ended = task.exception()
    how = f"raised {type(ended).__name__}" if ended else f"returned a {type(task.result()).__name__}"
    return f"it {how} after it was cancelled; let asyncio.CancelledError through"


def _told(one: Trial) -> Any:
    if one.asks:
        return ["asks", [ask.key for ask in one.asks]]
    if one.error is not None:
        code = one.error.code if isinstance(one.error, RoostError) else ""
        return ["raises", type(one.error).__name__, code, str(one.error)]
    kids = {str(child["id"]): number for number, child in enumerate(one.context.children)}
    return [type(one.decision).__name__, *(_without_ids(part, kids) for part in parts(one.decision).values())]


def parts(decision: Any) -> dict[str, Any]:
    """Return what is in a decision, by name; nothing for what is no decision."""
    match decision:
        case Snapshot():
            return {"state": decision.data, "result": decision.result, "finished": decision.finished}
        case Continue():
            return {"state": decision.state, "delay": decision.delay, "label": decision.label}
        case Complete():
            return {"result": decision.result, "state": None if decision.keeps_state else decision.state}
        case Wait():
            return {"seconds": decision.seconds}
        case Fail():
            return {"message": decision.message, "code": decision.code, "details": dict(decision.details)}
        case WaitFor():
            kept = None if decision.keeps_state else decision.state
            return {"asks": [ask.key for ask in decision.asks], "state": kept}
    return {}


def _without_ids(value: Any, kids: Mapping[str, int]) -> Any:
    """Return the value with ids of children, which are new in each run on trial, as numbers."""
    if isinstance(value, str | uuid.UUID):
        return f"child {kids[str(value)]}" if str(value) in kids else value
    if isinstance(value, list | tuple):
        return [_without_ids(inner, kids) for inner in value]
    if isinstance(value, dict):
        return {key: _without_ids(inner, kids) for key, inner in value.items()}
    return value
