"""`roost conformance`: does an engine keep what Roost relies on?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from runtime.exceptions import InvalidInput
from runtime.management.roost.call import CONFLICT, Call, Commands
from runtime.management.roost.inputs import as_json, payload


def register(commands: Commands) -> None:
    """Declare the command."""
    group = commands.group("conformance", about="Check what others build on Roost.")
    parser = group.add("engine", engine, about="Make the steps of an engine, each several times; store nothing.")
    parser.add_argument("name", metavar="NAME", help="See `roost engines`.")
    parser.add_argument(
        *("--payload", "-p"),
        dest="payloads",
        action="append",
        metavar="JSON|@FILE|-",
        help="Payload to begin with; may be given several times. Recorded calls are really made.",
    )
    parser.add_argument(
        "--answer", dest="answers", action="append", metavar="KEY=JSON", help="Answer to what steps ask for."
    )
    parser.add_argument("--most-steps", type=int, default=20, metavar="N", help="Steps of each payload (20).")


def engine(call: Call) -> None:
    """Check the engine; the exit code is 1 when a promise is broken."""
    from runtime.conformance.engines import check_engine

    payloads = [payload(text) for text in call.options["payloads"] or ["null"]]
    answers = dict(_answer(text) for text in call.options["answers"] or [])
    report = check_engine(call.options["name"], payloads, answers=answers, most_steps=call.options["most_steps"])
    call.printer.document(report.to_dict())
    call.printer.line(str(report))
    if not report.ok:
        raise CommandError(f"{len(report.broken)} promises are broken.", returncode=CONFLICT)


def _answer(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"The answer {text!r} is not KEY=JSON.", field="answer")
    return key, as_json(value, "answer")
