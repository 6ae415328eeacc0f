"""Run the demo in a process of its own, under settings whose database is the demo's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from runtime.management.demo.fleet import cleaning_up_on_sigterm, command_line, environment
from runtime.management.roost.call import CONFLICT, INVALID, MISSING, Call

MODULE = "runtime.management.demo.settings"
CLEAN_UP_SECONDS = 30.0
INTERRUPTED = 130


def is_inside() -> bool:
    """Tell whether this process runs under the demo's settings."""
    return settings.SETTINGS_MODULE == MODULE


def folder() -> Path:
    """Return the folder of the demo: `build/demo` in the project, or the one that ROOST_DEMO_FOLDER names."""
    named = os.environ.get("ROOST_DEMO_FOLDER")
    return Path(named) if named else Path(getattr(settings, "BASE_DIR", Path.cwd())) / "build" / "demo"


def run(call: Call) -> None:
    """Run `roost demo` under the demo's settings and take over its exit code."""
    product = settings.SETTINGS_MODULE
    if not product:
        raise CommandError("The demo needs a settings module: set DJANGO_SETTINGS_MODULE.", returncode=CONFLICT)
    folder().mkdir(parents=True, exist_ok=True)
    arguments = ["roost", "demo", "--format", call.options["format"]]
    if call.options["url"]:
        arguments += ["--url", call.options["url"]]
    demo = {"ROOST_DEMO_PRODUCT": product, "ROOST_DEMO_FOLDER": str(folder().resolve()), "PYTHONUNBUFFERED": "1"}
    try:
        code = _run(command_line(*arguments), environment(DJANGO_SETTINGS_MODULE=MODULE, **demo))
    except KeyboardInterrupt:
        text = "Interrupted. Whatever the demo had started has been ended."
        raise CommandError(text, returncode=INTERRUPTED) from None
    if code:
        known = code in {CONFLICT, INVALID, MISSING}
        raise CommandError("The demo ended without its proof: see above.", returncode=code if known else CONFLICT)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run the demo out of reach of the terminal's Ctrl-C: it hears one SIGTERM from here, and cleans up."""
    with cleaning_up_on_sigterm():
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(CLEAN_UP_SECONDS)
