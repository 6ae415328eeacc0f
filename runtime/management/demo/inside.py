"""Run the demo in a process of its own, under settings whose database is the demo's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from runtime.management.demo.fleet import command_line, environment
from runtime.management.roost.call import CONFLICT, Call

MODULE = "runtime.management.demo.settings"
CLEAN_UP_SECONDS = 30.0


def is_inside() -> bool:
    """Tell whether this process runs under the demo's settings."""
    return settings.SETTINGS_MODULE == MODULE


def folder() -> Path:
    """Return the folder of the demo: `build/demo` in the project, where there is one."""
    return Path(getattr(settings, "BASE_DIR", Path.cwd())) / "build" / "demo"


def run(call: Call) -> None:
    """Run `roost demo` under the demo's settings and take over its exit code."""
    product = settings.SETTINGS_MODULE
    if not product:
        raise CommandError("The demo needs a settings module: set DJANGO_SETTINGS_MODULE.", returncode=CONFLICT)
    folder().mkdir(parents=True, exist_ok=True)
    arguments = ["roost", "demo", "--format", call.options["format"]]
    if call.options["url"]:
        arguments += ["--url", call.options["url"]]
    demo = {"ROOST_DEMO_PRODUCT": product, "ROOST_DEMO_FOLDER": str(folder()), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command_line(*arguments), env=environment(DJANGO_SETTINGS_MODULE=MODULE, **demo))
    code = _wait(process)
    if code:
        raise CommandError("The demo did not show what it promises: see above.", returncode=CONFLICT)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the demo; when this process is to end, so that it cleans up first, end it too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(CLEAN_UP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
