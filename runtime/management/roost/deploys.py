"""`roost preflight`: would the code here go on with everything that is in flight?"""

from __future__ import annotations

from django.core.management.base import CommandError

from runtime.management.roost import shapes
from runtime.management.roost.call import CONFLICT, Call, Commands
from runtime.queries.held import in_flight


def register(commands: Commands) -> None:
    """Declare the command."""
    commands.add("preflight", preflight, about="Say which items in flight the code here would not go on with.")


def preflight(call: Call) -> None:
    """List items in flight by the code they need; fail when some would be stranded."""
    fleets = in_flight(using=call.using)
    stranded = [fleet for fleet in fleets if fleet.stranded]
    count = sum(fleet.items for fleet in stranded)
    call.printer.document({"stranded": count, "groups": [shapes.plain(fleet) for fleet in fleets]})
    rows = (
        (fleet.engine, fleet.engine_version, fleet.state_schema, fleet.items, fleet.held, fleet.text or "goes on")
        for fleet in fleets
    )
    headers = ("engine", "version", "state shape", "items", "held", "with the code here")
    call.printer.table(headers, rows, empty="Nothing is in flight.")
    if stranded:
        raise CommandError(
            f"{count} items in flight would be held by the code here, {stranded[0].example} among them.",
            returncode=CONFLICT,
        )
