"""`roost resources`: who holds which resource, and how much room each has."""

from __future__ import annotations

from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.models import Resource
from runtime.operations.resource_capacity import set_capacity
from runtime.queries import resources
from runtime.queries.resources import ClaimView

SHAPE = shapes.columns(Resource, "id")


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("resources", list_resources, about="Show who holds which resource and who waits for it.")
    parser.add_argument("--namespace", default="")
    parser.add_argument("--key", default="", help="Only this one.")
    parser.add_argument("--all", action="store_true", help="Those that nobody holds or wants too.")
    parser.add_argument("--after", metavar="NAMESPACE/KEY", help="Page on from the last row of the page before.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")
    group = Commands(parser.add_subparsers(metavar="COMMAND", dest="resources command"))
    parser = group.add("set", change, about="Set how many units of a resource there are; waiters that fit are woken.")
    parser.add_argument("key", metavar="KEY", help="The resource's key.")
    parser.add_argument("--capacity", type=int, required=True, metavar="N", help="Units held at once, at most.")
    parser.add_argument("--namespace", default="default")


def list_resources(call: Call) -> None:
    """List resources with holders and waiters."""
    given = call.options
    page = resources.page(
        namespace=given["namespace"],
        key=given["key"],
        after=_place(given["after"]),
        limit=given["limit"],
        busy=not given["all"],
        using=call.using,
    )
    last = f"{page.rows[-1].namespace}/{page.rows[-1].key}" if page.more else None
    call.printer.document({"resources": shapes.plain(page.rows), "next": last})
    rows = ((one.namespace, one.key, one.capacity, _claims(one.holders), _claims(one.waiters)) for one in page.rows)
    headers = ("namespace", "resource", "capacity", "held by", "wanted by")
    call.printer.table(headers, rows, empty="No resource is held or wanted.")
    call.printer.more("--after", last)


def _place(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    namespace, slash, key = text.partition("/")
    if not slash:
        raise InvalidInput(f"{text!r} is no NAMESPACE/KEY: page on from the last row of a list.", field="after")
    return namespace, key


def change(call: Call) -> None:
    """Set the capacity of a resource."""
    given = call.options
    row = set_capacity(given["key"], given["capacity"], namespace=given["namespace"], using=call.using)
    call.printer.document({"resource": shapes.row(row, SHAPE)})
    call.printer.line(f"The resource {row.key} has a capacity of {row.capacity}.")


def _claims(claims: tuple[ClaimView, ...]) -> str:
    shown = [f"{claim.item}{f' on {claim.worker_name}' if claim.worker_name else ''}" for claim in claims[:3]]
    return ", ".join([*shown, f"{len(claims) - 3} more"] if len(claims) > 3 else shown)
