"""Run `manage.py` with a drain that does no work, so that a test sees the process tree alone.

The drain's manner is its first argument: `waits` for a stop, is `deaf` to it (and holds the interpreter's lock),
`fails`, or `clings` to life by a thread that never ends. Each drain leaves a file named after its process id in the
second argument's directory, and a second one when it ended of itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import types
from pathlib import Path

from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken

manner, directory = sys.argv[1], Path(sys.argv[2])


class IdleDrain:
    def __init__(self, options: WorkerOptions, stop: StopToken) -> None:
        self.stop = stop

    def run(self) -> None:
        (directory / f"{os.getpid()}.started").touch()
        if manner == "fails":
            raise ValueError("this drain fails")
        if manner == "deaf":
            ctypes.PyDLL(None).sleep(60)
        if manner == "clings":
            threading.Thread(target=threading.Event().wait, name="clinging").start()
        self.stop.wait()
        (directory / f"{os.getpid()}.ended").touch()


def main() -> None:
    drain = types.ModuleType("runtime.worker.drain")
    drain.Drain = IdleDrain  # type: ignore[attr-defined]
    sys.modules[drain.__name__] = drain

    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[3:]])


if __name__ == "__main__":
    main()
