"""Explore every world and print what was seen: `python -m tests.model [--largest] [--broken]`."""

from __future__ import annotations

import sys
import time

from tests.model.explore import explore
from tests.model.worlds import BROKEN, LARGEST, WORLDS

TITLE = f"{'states':>9} {'moves':>9} {'depth':>5} {'CPU':>6}  world\n"


def main() -> int:
    """Return 1 when a promise is broken where none may be, or kept where one must break."""
    wrong = 0
    worlds = {**WORLDS, **({"two items, everything at once": LARGEST} if "--largest" in sys.argv else {})}
    sys.stdout.write(TITLE)
    for name, (rules, begin) in worlds.items():
        started = time.process_time()
        found = explore(rules, begin)
        spent = time.process_time() - started
        sys.stdout.write(f"{found.states:9,} {found.steps:9,} {found.depth:5} {spent:5.1f}s  {name}\n")
        if found.broken:
            wrong = 1
            sys.stdout.write(f"{found.story()}\n")
    for name, (rules, begin, promise) in BROKEN.items() if "--broken" in sys.argv else ():
        found = explore(rules, begin)
        wrong |= found.broken != promise
        sys.stdout.write(f"\n{name}\n{found.story()}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
