"""The shop's worker of channels, which says what it listens on."""

from channels.management.commands.runworker import Command as ChannelsCommand


class Command(ChannelsCommand):
    """Channels' worker."""

    def handle(self, *args, **options):
        """Say it, and listen."""
        self.stdout.write(f"The shop listens on {', '.join(options['channels'])}.")
        super().handle(*args, **options)
