"""`roost export`, `import`: take a run out of one project, and a copy of it into another."""

from __future__ import annotations

from runtime.conf import settings as roost
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.enqueue import read_option
from runtime.operations.import_run import import_run
from runtime.queries.export import export as export_run
from runtime.queries.export import text_of


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("export", export, about="Print a run as one JSON document.")
    item_argument(parser)
    parser.add_argument("--redact", action="store_true", help="Take out what looks like a secret.")
    parser.add_argument("--with-artifacts", action="store_true", help="With the bytes of its artifacts.")
    parser = commands.add("import", import_, about="Store a copy of an exported run, ended or paused; print its id.")
    parser.add_argument("file", metavar="FILE|-", help="The document, or - for stdin.")
    parser.add_argument("--namespace", metavar="NAME", help="Instead of the run's.")
    parser.add_argument("--reason", default="", help="Kept in the copy's history.")


def export(call: Call) -> None:
    """Export the run."""
    given = call.options
    document = export_run(
        call.item().pk, redact=given["redact"], with_artifacts=given["with_artifacts"], using=call.using
    )
    call.printer.file(text_of(document))


def import_(call: Call) -> None:
    """Import the run."""
    given = call.options
    source = given["file"] if given["file"] == "-" else f"@{given['file']}"
    text = read_option(source, "document", roost.MAX_EXPORT_BYTES + 1)
    made = import_run(text, namespace=given["namespace"], reason=given["reason"], actor=call.actor, using=call.using)
    call.printer.document({"id": str(made.pk), "state": made.state})
    call.printer.line(str(made.pk))
