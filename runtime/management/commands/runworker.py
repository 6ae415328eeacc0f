"""Run Roost's worker; with channel names, hand over to the app that serves channels.

channels has a command of this name too, and Django takes the first app's, silently. So that nothing is lost when
Roost stands first, positional names mean channels' worker, or rather that of the next app that offers one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management import call_command, find_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser

from runtime.management.commands import roost_worker

NAME = "runworker"


class Command(roost_worker.Command):
    """`roost_worker`, and the way to channels' `runworker`."""

    help = f"{roost_worker.Command.help} With channel names, run the channel layer worker instead."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare Roost's options and the two that belong to channels' worker."""
        super().add_arguments(parser)
        parser.add_argument("channels", nargs="*", help="Channels to listen on; leave out to run Roost's worker.")
        parser.add_argument("--layer", help="Channel layer alias; only with channel names.")

    def run_from_argv(self, argv: list[str]) -> None:
        """Give the whole command line to the other command if it names channels: it may know options we do not."""
        self._called_from_command_line = True  # a value that cannot be read is told with the usage, not as a traceback
        known, _ = self.create_parser(argv[0], argv[1]).parse_known_args(argv[2:])
        if not known.channels:
            super().run_from_argv(argv)
            return
        try:
            self._refuse_our_options(vars(known))
            other = self._other()
        except CommandError as error:
            self.stderr.write(f"CommandError: {error}")
            sys.exit(error.returncode)
        other.run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run Roost's worker, or the other command for `call_command("runworker", "a-channel")`."""
        channels, layer = options.pop("channels"), options.pop("layer")
        if channels:
            self._refuse_our_options(options)
            passed = {"verbosity": options["verbosity"], "stdout": self.stdout, "stderr": self.stderr}
            call_command(self._other(), *channels, **passed, **({} if layer is None else {"layer": layer}))
        elif layer is not None:
            raise CommandError("--layer belongs to the channel layer worker: name the channels to listen on as well.")
        else:
            super().handle(*args, **options)

    def _refuse_our_options(self, options: dict[str, Any]) -> None:
        ours = ("engines", "processes", "concurrency", "pools", "grace_seconds", "database", "once", "until_idle")
        given = [f"--{name.removesuffix('_seconds').replace('_', '-')}" for name in ours if options.get(name)]
        if given:
            raise CommandError(
                f"{', '.join(given)} cannot go with channel names: those start the channel layer worker. "
                "Leave the names out to run Roost's worker."
            )

    def _other(self) -> BaseCommand:
        for app in _apps_after(type(self).__module__):
            return load_command_class(app, NAME)
        raise CommandError(
            "Channel names were given, but no other installed app has a runworker command to listen on channels. "
            "Add 'channels' to INSTALLED_APPS, or leave the names out to run Roost's worker."
        )


def _apps_after(module: str) -> Iterator[str]:
    """Yield the apps that offer the command and stand behind the one whose command this is."""
    passed = False
    for app in apps.get_app_configs():
        if passed and NAME in find_commands(os.path.join(app.path, "management")):  # noqa: PTH118
            yield app.name
        passed = passed or module.startswith(f"{app.name}.management.")
