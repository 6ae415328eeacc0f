"""`roost export`, `import`, `trace`: take a run elsewhere, as a document or as a page to read."""

from __future__ import annotations

from pathlib import Path

from runtime.conf import settings as roost
from runtime.exceptions import Conflict, InvalidInput
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.inputs import read_option
from runtime.operations.import_run import import_run
from runtime.queries.export import export as export_run
from runtime.queries.export import text_of
from runtime.queries.trace import trace as trace_run
from runtime.queries.trace_page import page


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("export", export, about="Print a run as one JSON document.")
    item_argument(parser)
    parser.add_argument("--redact", action="store_true", help="Take out what looks like a secret.")
    parser.add_argument("--with-artifacts", action="store_true", help="With the bytes of its artifacts.")
    parser = commands.add("trace", trace, about="Write a run as one HTML file to read offline.")
    item_argument(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="The file to write.")
    parser.add_argument("--force", action="store_true", help="Replace a file that is there.")
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


def trace(call: Call) -> None:
    """Write the trace."""
    target = Path(call.options["output"])
    text = page(trace_run(call.item(), using=call.using))
    try:
        with target.open("w" if call.options["force"] else "x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{target} exists. Give --force to replace it, or another --output.") from None
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}.", field="output") from error
    call.printer.document({"path": str(target), "bytes": target.stat().st_size})
    call.printer.line(str(target))


def import_(call: Call) -> None:
    """Import the run."""
    given = call.options
    source = given["file"] if given["file"] == "-" else f"@{given['file']}"
    text = read_option(source, "document", roost.MAX_EXPORT_BYTES + 1)
    made = import_run(text, namespace=given["namespace"], reason=given["reason"], actor=call.actor, using=call.using)
    call.printer.document({"id": str(made.pk), "state": made.state})
    call.printer.line(str(made.pk))
