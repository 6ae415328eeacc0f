"""`roost replay`: make the steps of a run again from its record, and say where they part from it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError

from runtime.exceptions import EngineLoadError
from runtime.management.roost import shapes
from runtime.management.roost.call import CONFLICT, INVALID, Call, Commands, item_argument
from runtime.worker.replay.compare import Divergence
from runtime.worker.replay.dry import Replay
from runtime.worker.replay.dry import replay as replay_run

SHOWN = 400


def register(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add("replay", replay, about="Make a run's steps again from its record; nothing is stored.")
    item_argument(parser)
    parser.add_argument("--from", type=int, default=0, metavar="K", dest="first", help="Begin at snapshot K.")
    parser.add_argument("--to", type=int, metavar="K", dest="last", help="Up to version K (default: to its end).")
    parser.add_argument("--engine-version", metavar="VERSION", help="As if the item were of this version.")


def replay(call: Call) -> None:
    """Replay the run; exit code 1 when it parts from its record, 2 when it cannot be replayed."""
    given = call.options
    try:
        found = replay_run(
            call.item(),
            first=given["first"],
            last=given["last"],
            engine_version=given["engine_version"],
            using=call.using,
        )
    except EngineLoadError as error:
        raise CommandError(str(error), returncode=INVALID) from error
    call.printer.document(_plain(found))
    for note in found.notes:
        call.printer.line(f"version {note.version} left out: {note.text}")
    call.printer.line(f"{found.steps} steps made again by code of version {found.code_version}.")
    if found.stopped is not None:
        stopped = found.stopped
        call.printer.line(f"It stops at the same error: {stopped['type']}: {stopped['message']}")
    if found.divergence is None:
        call.printer.line("The same as recorded.")
        return
    _differing(call, found.divergence)
    raise CommandError(f"The run parts from its record at version {found.divergence.version}.", returncode=CONFLICT)


def _plain(found: Replay) -> dict[str, Any]:
    return {
        "id": str(found.item.pk),
        "engine": found.item.engine,
        "code_version": found.code_version,
        "same": found.same,
        "steps": found.steps,
        "stopped": found.stopped,
        "divergence": None if found.divergence is None else shapes.plain(found.divergence),
        "notes": shapes.plain(found.notes),
    }


def _differing(call: Call, found: Divergence) -> None:
    call.printer.line(f"version {found.version}: {found.text}")
    place = f" at {found.path}" if found.path else ""
    if found.recorded is not None or found.produced is not None:
        call.printer.line(f"  recorded{place}: {_short(found.recorded)}")
        call.printer.line(f"  produced{place}: {_short(found.produced)}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
