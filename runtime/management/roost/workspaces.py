"""`roost workspace-path`, `workspaces list`, `workspaces clean`: the checkouts of items on this host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.management.roost.call import Call, Commands, item_argument
from runtime.queries import workspaces
from runtime.queries.workspaces import Kept
from runtime.worker import workspace_care


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("workspace-path", workspace_path, about="Print the path of an item's workspace on this host.")
    item_argument(parser)
    group = commands.group("workspaces", about="The workspaces on this host.")
    parser = group.add("list", list_, about="List workspaces, and those that may go.")
    parser.add_argument("--after", default="", metavar="NAME", help="Page on from here.")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="At most N.")
    parser = group.add("clean", clean, about="Remove workspaces that may go, and what was left half made.")
    parser.add_argument("--dry-run", action="store_true", help="Only say which.")


def workspace_path(call: Call) -> None:
    """Print the path alone; exit code 1 when there is none."""
    item = call.item()
    path = workspaces.path_of(item)
    call.printer.document({"id": str(item.pk), "path": str(path)})
    call.printer.line(str(path))


def list_(call: Call) -> None:
    """List workspaces."""
    page = workspaces.kept(after=call.options["after"], limit=call.options["limit"], using=call.using)
    last = page.rows[-1].name if page.more else None
    call.printer.document({"workspaces": [_plain(one) for one in page.rows], "next": last})
    _table(call, page.rows, empty="There are no workspaces on this host.")
    call.printer.more("--after", last)


def clean(call: Call) -> None:
    """Remove what may go; those that are in use, and those of live items, stay."""
    dry, gone, page = call.options["dry_run"], [], workspaces.kept(using=call.using)
    while page.rows:
        over = [one for one in page.rows if one.over]
        gone += over if dry else workspace_care.clean(over, call.using)
        page = workspaces.kept(after=page.rows[-1].name, using=call.using)
    leftovers = 0 if dry else workspace_care.clean_leftovers()
    call.printer.document({"dry_run": dry, "removed": [_plain(one) for one in gone], "leftovers": leftovers})
    _table(call, gone, empty="There is nothing to remove.")


def _table(call: Call, found: Sequence[Kept], *, empty: str) -> None:
    rows = ((one.record.item, one.state, one.record.keep, "yes" if one.over else "", one.place.path) for one in found)
    call.printer.table(("item", "state", "keep", "may go", "path"), rows, empty=empty)


def _plain(one: Kept) -> dict[str, Any]:
    record = one.record
    source = {"source": record.source, "ref": record.ref, "commit": record.commit, "mode": record.mode}
    state = {"state": one.state, "keep": record.keep, "may_go": one.over, "path": str(one.place.path)}
    return {"name": one.name, "item": record.item, "namespace": record.namespace, **state, **source}
