"""`roost sweep`, `verify`, `doctor`: keep the house in order."""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from itertools import islice

from django.core.management.base import CommandError

from runtime import faults, wake
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import CONFLICT, Call, Commands
from runtime.queries import installation, items
from runtime.queries import verify as verify_queries
from runtime.store import get_store
from runtime.store.values import SweepReport
from runtime.worker import takeover

NOBODY = uuid.UUID(int=0)
SHOWN_PROBLEMS = 1000


def register(commands: Commands) -> None:
    """Declare the commands."""
    commands.add("sweep", sweep, about="Take back what dead workers hold and end what is overdue, now.")
    parser = commands.add("verify", verify, about="Check the invariants of an item, or of all items.")
    parser.add_argument("item", nargs="?", metavar="ID", help="The work item's id, or its first digits.")
    parser.add_argument("--all", action="store_true", help="All items.")
    parser = commands.add("doctor", doctor, about="Look whether this installation is able to work.")
    parser.add_argument(
        "--fault-points", action="store_true", help="Only list the points at which a test can let a process fail."
    )


def sweep(call: Call) -> None:
    """Sweep until nothing is left to sweep. Safe beside any number of workers."""
    total, store = SweepReport(), get_store(call.using)
    while True:
        dead = takeover.find_dead(call.using, NOBODY)
        takeover.end_sessions(call.using, dead)
        living = takeover.find_living(call.using)
        report = store.sweep(dead_workers=dead, living_workers=living, batch=roost.SWEEP_BATCH)
        for name, value in asdict(report).items():
            setattr(total, name, getattr(total, name) + value)
        if not report.more or not any(asdict(replace(report, more=False)).values()):
            break
    if total.changed:
        wake.hint(call.using)
    counts = {name: int(value) for name, value in asdict(total).items() if name != "more"}
    call.printer.document(counts)
    call.printer.facts((name.replace("_", " "), value) for name, value in counts.items())


def verify(call: Call) -> None:
    """Check one item or all; exit code 1 if something that must hold does not."""
    if bool(call.options["item"]) == call.options["all"]:
        raise InvalidInput("Name an item, or say --all.", field="item")
    if call.options["all"]:
        found = list(islice(verify_queries.everything(using=call.using), SHOWN_PROBLEMS))
    else:
        found = verify_queries.item(items.get(call.options["item"], using=call.using).pk, using=call.using)
    call.printer.document({"problems": shapes.plain(found)})
    rows = ((problem.item, problem.code, problem.text) for problem in found)
    call.printer.table(("item", "problem", "what"), rows, empty="Everything that must hold holds.")
    if found:
        more = " or more" if len(found) == SHOWN_PROBLEMS else ""
        raise CommandError(_found(len(found), more), returncode=CONFLICT)


def doctor(call: Call) -> None:
    """Look at everything; exit code 1 if there is a problem, 0 with warnings."""
    if call.options["fault_points"]:
        _fault_points(call)
        return
    found = installation.examine(using=call.using)
    call.printer.document({"findings": shapes.plain(found)})
    for finding in found:
        call.printer.line(f"{finding.level:<7}  {finding.check:<10}  {finding.text}")
        if finding.hint and finding.level != "ok":
            call.printer.line(f"{'':<21}{finding.hint}")
    problems = sum(finding.level == "problem" for finding in found)
    if problems:
        raise CommandError(_found(problems), returncode=CONFLICT)


def _fault_points(call: Call) -> None:
    """Tell where the crash suite lets processes fail; nothing does outside of tests."""
    points = [
        {"point": f"{place}.{side}", "what": f"{side} {what}"}
        for place, what in faults.PLACES.items()
        for side in faults.SIDES
    ]
    call.printer.document({"points": points, "actions": sorted(faults.ACTIONS), "variable": faults.VARIABLE})
    rows = ((one["point"], one["what"]) for one in points)
    call.printer.table(("point", "where a process can fail"), rows, empty="There is none.")


def _found(count: int, more: str = "") -> str:
    return f"{count}{more} problem{'' if count == 1 and not more else 's'} found."
