"""`roost demo`: see an item survive the kill -9 of its worker, or measure how long that takes."""

from __future__ import annotations

from runtime.management.demo import crash, inside, story
from runtime.management.roost.call import Call, Commands


def register(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add("demo", demo, about="See an item survive the kill -9 of its worker.")
    parser.add_argument("--url", metavar="URL", help="Page to watch (default: one that this command serves).")
    parser.add_argument(
        "--crash",
        type=int,
        nargs="?",
        const=crash.ROUNDS,
        metavar="N",
        help=f"Kill N workers (default {crash.ROUNDS}) in the middle of a step, and N idle ones, on the configured "
        "database, and measure the time to the next step.",
    )


def demo(call: Call) -> None:
    """Run what was asked for; exit code 0 only if everything that was promised was seen."""
    if call.options["crash"] is not None:
        crash.measure(call, rounds=call.options["crash"])
    elif inside.is_inside():
        story.tell(call)
    else:
        inside.run(call)
