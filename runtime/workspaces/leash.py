"""Let a program die with this process, however that ends, and with the program what it has started.

A signal that the kernel would send at a parent's death (`PR_SET_PDEATHSIG`) is set between fork and exec, which is not
safe where there are threads, and comes when the thread ends that had started the program. So a shell stands between: it
leads the program's process group, and kills it when a pipe ends whose other end this process alone has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SHELL = "/bin/sh"
SCRIPT = """
"$@" </dev/null & program=$!
{ read -r _ <"/dev/fd/$0"; kill -KILL 0; } >/dev/null 2>&1 & leash=$!
wait "$program"; code=$?
exec 2>/dev/null
kill -KILL "$leash"
wait "$leash"
exit "$code"
"""


@contextmanager
def leashed(command: Sequence[str]) -> Iterator[tuple[list[str], int]]:
    """Give the command to start in the place of this one, in a session of its own, and a descriptor to hand over."""
    inside, outside = os.pipe()
    try:
        yield [SHELL, "-c", SCRIPT, str(inside), *command], inside
    finally:
        os.close(inside)
        os.close(outside)
