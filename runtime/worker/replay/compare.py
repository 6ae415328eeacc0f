"""Lay what a step came to beside what was recorded of it. Pure, but for the engine's upcasters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime import jsondata, offload
from runtime.choices import Reason, State
from runtime.engine import Engine
from runtime.models import Snapshot, WorkItem
from runtime.queries.jsondiff import compare
from runtime.store.values import Outcome
from runtime.worker.replay.watch import Watch

FROM_STEPS = frozenset({Reason.ATTEMPTS_EXHAUSTED, Reason.PERMANENT_ERROR})
"""Reasons for which a run failed by what its step raised."""
_ERROR = ("type", "code", "category", "message")


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """The first place where the steps part from the record: the `version` that was to be made, and what differs.

    `kind` is state, result, end, error, waiting, held, call, child, write or outside. `path` is a JSON Pointer into the
    state or the result. `recorded` and `produced` are None where there is nothing on that side.
    """

    version: int
    kind: str
    text: str
    path: str = ""
    recorded: Any = None
    produced: Any = None


def divergence(version: int, watch: Watch) -> Divergence | None:
    """Return what the step asked for that is not in the record."""
    return Divergence(version=version, kind=watch.kind, text=watch.text) if watch.kind else None


def first_state(run_initial: str, kept: Snapshot, engine: Engine) -> Divergence | None:
    """Compare the state that `init_snapshot` made with the one that is recorded."""
    return _different(0, "state", "The first state is another one.", state_of(kept, engine), run_initial)


def made(outcome: Outcome, kept: Snapshot, engine: Engine, *, done: bool) -> Divergence | None:
    """Compare the outcome of a step with the snapshot that it had made, and with whether it had ended the run."""
    version = kept.version
    if not outcome.advance:
        return _not_made(outcome, version)
    found = _different(version, "state", "The step makes another state.", state_of(kept, engine), outcome.data)
    if found is not None:
        return found
    if (outcome.state == State.DONE) != done:
        words = ("goes on", "ended the run") if done else ("ends the run", "went on")
        return Divergence(version=version, kind="end", text=f"The step {words[0]} where it {words[1]}.")
    return None


def result(outcome: Outcome, item: WorkItem) -> Divergence | None:
    """Compare the result of the last step of a run that is done."""
    recorded = offload.whole(item.result, f"result of work item {item.pk}")
    return _different(item.version, "result", "The run ends with another result.", recorded, outcome.result)


def failed(outcome: Outcome, item: WorkItem) -> Divergence | None:
    """Compare the outcome of the step that failed the run with the error that is recorded."""
    version = item.version + 1
    recorded = told(item.last_error)
    if outcome.error is None:
        found = _not_made(outcome, version) if not outcome.advance else None
        text = found.text if found else "The step ends well where it had failed."
        return Divergence(version=version, kind="error", text=text, recorded=recorded)
    produced = told(jsondata.loads(outcome.error))
    if _same_error(recorded, item.fingerprint, produced, outcome.fingerprint):
        return None
    text = "The step fails by another error."
    return Divergence(version=version, kind="error", text=text, recorded=recorded, produced=produced)


def told(error: Any) -> dict[str, Any]:
    """Return what is compared, and shown, of an error."""
    return {name: error.get(name, "") for name in _ERROR} if isinstance(error, dict) else {}


def state_of(kept: Snapshot, engine: Engine) -> Any:
    """Return a recorded state in the shape that the engine's code has today."""
    data = offload.whole(kept.data, f"state of work item {kept.work_item_id} at version {kept.version}")
    if kept.state_schema == engine.state_schema or not engine.reads(kept.state_schema):
        return data
    return engine.upcast(jsondata.loads(jsondata.dumps(data, depth=1_000)), kept.state_schema)


def _same_error(recorded: Any, mark: str, produced: Any, own_mark: str) -> bool:
    """Say whether two errors are one: of one type and code, raised at the same place or with the same words.

    The mark covers the path of the file, which differs from one installation to the next.
    """
    if (recorded.get("type"), recorded.get("code")) != (produced["type"], produced["code"]):
        return False
    return mark == own_mark or recorded["message"] == produced["message"]


def _not_made(outcome: Outcome, version: int) -> Divergence:
    """Tell of a step that makes no version."""
    if outcome.error is not None:
        produced = told(jsondata.loads(outcome.error))
        text = f"The step fails: {produced['type']}: {produced['message']}"
        return Divergence(version=version, kind="error", text=text, produced=produced)
    if outcome.reason == Reason.HELD:
        return Divergence(version=version, kind="held", text="; ".join(_messages(outcome)))
    keys = [wait.key for wait in outcome.waits]
    text = f"The step waits for {', '.join(map(repr, keys))}." if keys else "The step asks to be run again later."
    return Divergence(version=version, kind="waiting", text=text, produced=keys or None)


def _messages(outcome: Outcome) -> Iterator[str]:
    for event in outcome.events:
        if event.data is not None:
            yield str(jsondata.loads(event.data).get("message", ""))


def _different(version: int, kind: str, text: str, recorded: Any, produced: str | None) -> Divergence | None:
    made = None if produced is None else jsondata.loads(produced)
    change = next(iter(compare(recorded, made, most=1).changes), None)
    if change is None:
        return None
    return Divergence(
        version=version, kind=kind, text=text, path=change.path, recorded=change.before, produced=change.after
    )
