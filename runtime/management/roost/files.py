"""`roost artifacts`: list an item's files, show one, save one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from runtime import artifacts as content
from runtime.exceptions import Conflict, InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.models import Artifact
from runtime.queries import artifacts as queries
from runtime.store.blobs import open_artifact

SHOWN_BYTES = 64 * 1024


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("artifacts", about="List, show and save the files of an item.")
    item_argument(group.add("list", list_files, about="List the files of an item."))
    parser = group.add("show", show, about="Print a file, as text.")
    item_argument(parser)
    _name(parser)
    parser = group.add("save", save, about="Save a file, checked against its sha256.")
    item_argument(parser)
    _name(parser)
    parser.add_argument("--to", metavar="PATH", help="File or folder (default: here, under its own name).")
    parser.add_argument("--force", action="store_true", help="Replace a file that is there.")


def _name(parser: object) -> None:
    parser.add_argument("name", metavar="NAME", help="Name of the file, its id, or the first digits of its sha256.")  # type: ignore[attr-defined]


def list_files(call: Call) -> None:
    """List the files, oldest first."""
    page = queries.page(call.item().pk, limit=1000, using=call.using)
    call.printer.document({"artifacts": [shapes.row(file, shapes.ARTIFACT) for file in page.rows], "more": page.more})
    rows = ((file.name, file.kind, file.content_type, file.size, file.sha256, file.version) for file in page.rows)
    headers = ("name", "kind", "content type", "bytes", "sha256", "version")
    call.printer.table(headers, rows, empty="The item has no artifacts.")


def show(call: Call) -> None:
    """Print the beginning of a file, with everything that a terminal would obey made visible."""
    file = _file(call)
    with content.storage_errors(f"reading {file.name}"), open_artifact(file) as source:
        data = source.read(SHOWN_BYTES + 1)
    text = data[:SHOWN_BYTES].decode("utf-8", "replace")
    call.printer.document({**shapes.row(file, shapes.ARTIFACT), "text": text, "cut": len(data) > SHOWN_BYTES})
    call.printer.line(text)
    if len(data) > SHOWN_BYTES:
        call.printer.line(f"… {file.size - SHOWN_BYTES} more bytes: save it with `roost artifacts save`.")


def save(call: Call) -> None:
    """Save a file: whole and with the right hash, or not at all."""
    file = _file(call)
    target = _target(call.options["to"], file)
    if target.exists() and not call.options["force"]:
        raise Conflict(f"{target} exists. Give --force to replace it, or another --to.")
    try:
        _write(file, target)
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}.", field="to") from error
    call.printer.document({**shapes.row(file, shapes.ARTIFACT), "path": str(target)})
    call.printer.line(f"{target}  {file.size} bytes  sha256 {file.sha256}")


def _file(call: Call) -> Artifact:
    return queries.get(call.item().pk, call.options["name"], using=call.using)


def _target(to: str | None, file: Artifact) -> Path:
    content.check_name(file.name)
    place = Path(to) if to else Path()
    return place / file.name if place.is_dir() else place


def _write(file: Artifact, target: Path) -> None:
    descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=".roost-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            for piece in content.chunks(file.blob.path, file.sha256):
                out.write(piece)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
