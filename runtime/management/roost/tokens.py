"""`roost token`: make, list, exchange and revoke tokens of the API."""

from __future__ import annotations

import datetime as dt

from runtime import clock, tokens
from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.operations.tokens import KEEP_SECONDS, IssuedToken, create_token, revoke_token, rotate_token
from runtime.queries import tokens as queries
from runtime.queries.words import moment


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("token", about="Who may use the API without a session.")
    group.add("list", list_tokens, about="List tokens: what they may do, where, and when they were last used.")
    parser = group.add("create", create, about="Make a token; prints it once.")
    parser.add_argument("name", metavar="NAME", help="What events call it by: token:NAME.")
    parser.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help=f"What it may do; may be given several times: {', '.join(tokens.SCOPES)}, or a permission.",
    )
    parser.add_argument(
        "--namespace", action="append", default=[], metavar="NAME", help="What it reaches; '*' for all."
    )
    parser.add_argument("--days", type=float, metavar="N", help="Days until it expires; never if left out.")
    parser.add_argument("--note", default="", metavar="TEXT", help="For people.")
    parser = group.add("rotate", rotate, about="Exchange a token for a new one; prints it once.")
    parser.add_argument("name", metavar="NAME", help="The token's name.")
    parser.add_argument(
        "--keep", metavar="SECONDS", type=float, default=KEEP_SECONDS, help="How long the old one is good; a day."
    )
    parser = group.add("revoke", revoke, about="End a token at once.")
    parser.add_argument("name", metavar="NAME", help="The token's name.")


def list_tokens(call: Call) -> None:
    """List tokens by name."""
    views = queries.views(using=call.using)
    call.printer.document({"tokens": [{**shapes.plain(view.values), "standing": view.standing} for view in views]})
    rows = (
        (
            view.values["name"],
            f"roost_{view.values['prefix']}…",
            view.standing,
            ", ".join(view.values["scopes"]),
            ", ".join(view.values["namespaces"]),
            moment(view.values["expires_at"]),
            moment(view.values["last_used_at"]),
        )
        for view in views
    )
    headers = ("name", "token", "standing", "scopes", "namespaces", "expires", "last used")
    call.printer.table(headers, rows, empty="There is no token: `roost token create` makes one.")


def create(call: Call) -> None:
    """Make a token."""
    given = call.options
    issued = create_token(
        given["name"],
        scopes=given["scope"],
        namespaces=given["namespace"] or ["default"],
        expires_at=_days_from_now(given["days"], call),
        note=given["note"],
        actor=call.actor,
        using=call.using,
    )
    _tell(call, issued, "is made")


def _days_from_now(days: float | None, call: Call) -> dt.datetime | None:
    try:
        return None if days is None else clock.now(call.using) + dt.timedelta(days=days)
    except (OverflowError, ValueError):
        raise InvalidInput(
            f"days is {days:g}; give a number of days, or leave it out for ever.", field="days"
        ) from None


def rotate(call: Call) -> None:
    """Exchange a token."""
    issued = rotate_token(call.options["name"], keep=call.options["keep"], actor=call.actor, using=call.using)
    _tell(call, issued, "is exchanged")


def revoke(call: Call) -> None:
    """End a token."""
    row = revoke_token(call.options["name"], actor=call.actor, using=call.using)
    call.printer.document({"token": shapes.row(row, list(queries.SHOWN))})
    call.printer.line(f"The token {row.name} is revoked.")


def _tell(call: Call, issued: IssuedToken, what: str) -> None:
    call.printer.document({"token": shapes.row(issued.row, list(queries.SHOWN)), "text": issued.text})
    call.printer.line(f"The token {issued.row.name} {what}. It is shown this once:")
    call.printer.line(issued.text)
