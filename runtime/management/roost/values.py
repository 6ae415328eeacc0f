"""`roost value`: print one value of an item whole, also one that lies in the artifact storage."""

from __future__ import annotations

from runtime.choices import OffloadPlace
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.printer import pretty
from runtime.queries import values


def register(commands: Commands) -> None:
    """Declare the command."""
    about = "Print an item's payload, state or result whole, checked against its sha256 if it lies in the storage."
    parser = commands.add("value", value, about=about)
    item_argument(parser)
    parser.add_argument("place", choices=OffloadPlace.values, help="Which value.")
    parser.add_argument("--version", dest="at", type=int, metavar="N", help="State after step N (default: the latest).")


def value(call: Call) -> None:
    """Print the value and nothing else."""
    item = call.item()
    found = values.read(item.pk, call.options["place"], version=call.options["at"], using=call.using)
    moved = found.moved and {"sha256": found.moved.sha256, "size": found.moved.size}
    call.printer.document(
        {
            "item": str(item.pk),
            "place": str(found.place),
            "version": found.version,
            "moved": moved,
            "value": found.value,
        }
    )
    call.printer.line(pretty(found.value))
