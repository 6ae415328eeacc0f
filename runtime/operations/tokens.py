"""Make, exchange and revoke tokens of the API, and know them again.

create_token("ci", scopes=["read", "enqueue"], namespaces=["builds"]).text is the one time that a token can be read.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Required, TypedDict, Unpack

from django.db import IntegrityError

from runtime import clock, faults, jsondata, reach, tokens
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound
from runtime.models import ApiToken
from runtime.operations import fields
from runtime.operations.base import actor_name, check_permission
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted

MAX_NAME = 80
MAX_NOTE = 500
MAX_NAMESPACES = 100
KEEP_SECONDS = 24 * 3600.0

logger = logging.getLogger("roost.tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedToken:
    """A token's row, and the token: the one time that it can be read."""

    row: ApiToken
    text: str = field(repr=False)


class TokenOptions(TypedDict, total=False):
    """What a new token has, and who makes it; see `CreateToken`."""

    scopes: Required[Iterable[str]]
    namespaces: Required[Iterable[str]]
    expires_at: dt.datetime | None
    note: str
    by: Any
    actor: str
    using: str | None


class CreateToken:
    """Make a token of that name.

    `namespaces` are those it reaches, `["*"]` all. `by` is a Django user, who cannot give a token what he has not
    himself, or None for trusted code, which may give `actor`.
    """

    def __init__(
        self,
        name: str,
        *,
        scopes: Iterable[str],
        namespaces: Iterable[str],
        expires_at: dt.datetime | None = None,
        note: str = "",
        by: Any = None,
        actor: str = "",
        using: str | None = None,
    ) -> None:
        self.name = fields.name(name, "name", limit=MAX_NAME)
        self.scopes = _scopes(scopes)
        self.namespaces = _namespaces(namespaces)
        self.expires_at = None if expires_at is None else fields.moment(expires_at, "expires_at")
        self.note = _note(note)
        self.by = by
        self.actor = actor_name(by, actor)
        self.using = using or work_database()

    def check(self) -> None:
        """Raise `Forbidden` or `InvalidInput` unless it would be done now. Changes nothing."""
        check_permission(self.by, "add_apitoken", "make API tokens")
        _require_all(self.by, self.scopes)
        _require_reach(self.by, self.namespaces)
        if self.expires_at is not None and self.expires_at <= clock.now(self.using):
            raise InvalidInput(_("expires_at is in the past. Give a later time."), field="expires_at")

    def execute(self) -> IssuedToken:
        """Do it. One transaction; joins the caller's. Raises `Conflict` for a name that is taken."""
        self.check()
        made = tokens.make()

        def once() -> ApiToken:
            row: ApiToken = ApiToken.objects.using(self.using).create(
                name=self.name,
                prefix=made.prefix,
                token_hash=made.hash,
                scopes=self.scopes,
                namespaces=self.namespaces,
                expires_at=self.expires_at,
                note=self.note,
                created_at=clock.now(self.using),
                created_by=self.actor,
            )
            return row

        try:
            with faults.around("token"):
                row = transacted(self.using, once)
        except IntegrityError:
            raise Conflict(
                _("There is an API token %(name)r already. Rotate it, or use another name.", name=self.name)
            ) from None
        logger.info("API token %s was made by %s", self.name, self.actor or "the product")
        return IssuedToken(row=row, text=made.text)


def create_token(name: str, **options: Unpack[TokenOptions]) -> IssuedToken:
    """Make a token; see `CreateToken`. Raises `InvalidInput`, `Forbidden`, `Conflict`."""
    return CreateToken(name, **options).execute()


def rotate_token(
    name: str,
    *,
    keep: float | dt.timedelta = KEEP_SECONDS,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> IssuedToken:
    """Exchange a token for a new one; the old one is good for `keep` seconds more, and the one before no longer.

    One transaction; joins the caller's. Raises `NotFound`, `Forbidden`, `InvalidInput`, `Conflict` (revoked).
    """
    using = using or work_database()
    seconds, told = fields.seconds(keep, "keep"), actor_name(by, actor)
    check_permission(by, "change_apitoken", "rotate API tokens")
    made = tokens.make()

    def once() -> ApiToken:
        row = _token_of(by, name, using=using)
        _require_all(by, row.scopes)
        if row.revoked_at is not None:
            raise Conflict(_("The API token %(name)r is revoked. Make a new one.", name=name), state="revoked")
        until = clock.now(using) + dt.timedelta(seconds=seconds) if seconds else None
        return row.compare_and_set(
            prefix=made.prefix,
            token_hash=made.hash,
            previous_hash=row.token_hash if until else "",
            previous_until=until,
        )

    with faults.around("token"):
        row = transacted(using, once)
    logger.info("API token %s was exchanged by %s", name, told or "the product")
    return IssuedToken(row=row, text=made.text)


def revoke_token(name: str, *, by: Any = None, actor: str = "", using: str | None = None) -> ApiToken:
    """End a token, and the one before it, at once and for good. Raises `NotFound`, `Forbidden`, `Conflict`."""
    using = using or work_database()
    check_permission(by, "change_apitoken", "revoke API tokens")

    def once() -> ApiToken:
        row = _token_of(by, name, using=using)
        if row.revoked_at is not None:
            raise Conflict(_("The API token %(name)r is revoked already.", name=name), state="revoked")
        told = {"revoked_at": clock.now(using), "revoked_by": actor_name(by, actor)}
        return row.compare_and_set(**told, previous_hash="", previous_until=None)

    with faults.around("token"):
        row = transacted(using, once)
    logger.info("API token %s was revoked by %s", name, row.revoked_by or "the product")
    return row


def find_token(name: str, *, using: str, lock: bool = False) -> ApiToken:
    """Return the token of that name, its row locked on wish. Raises `NotFound`."""
    rows = ApiToken.objects.using(using).filter(name=name)
    found: ApiToken | None = (rows.select_for_update(no_key=True) if lock else rows).first()
    if found is None:
        raise _missing(name)
    return found


def _token_of(by: Any, name: str, *, using: str) -> ApiToken:
    """Return the token of that name, its row locked. Raises `NotFound`, too for one that reaches further than `by`."""
    row = find_token(name, using=using, lock=True)
    if _beyond(by, row.namespaces):
        raise _missing(name)
    return row


def _missing(name: str) -> NotFound:
    return NotFound(_("There is no API token %(name)r: `roost token list` shows those there are.", name=name))


def _beyond(by: Any, namespaces: Iterable[str]) -> list[str]:
    """Return those of a token's namespaces that are out of reach of `by`; that of a token for all are all."""
    reached = reach.of(by)
    return [] if reached is None else sorted(set(namespaces) - reached)


def _require_reach(by: Any, namespaces: Iterable[str]) -> None:
    """Raise `Forbidden` for a token that would reach further than who makes it."""
    beyond = _beyond(by, namespaces)
    if beyond:
        raise Forbidden(
            _(
                "%(actor)s may not give a token reach that they have not themselves: %(names)s.",
                actor=actor_name(by),
                names=", ".join(beyond),
            )
        )


def _scopes(scopes: Iterable[str]) -> list[str]:
    found = sorted(set(scopes))
    if not found:
        raise InvalidInput(_("A token needs scopes: %(names)s.", names=", ".join(tokens.SCOPES)), field="scopes")
    for scope in found:
        if not tokens.is_scope(scope):
            raise InvalidInput(
                _(
                    "There is no scope %(scope)r. Scopes: %(names)s, or a permission such as cancel_workitem.",
                    scope=scope,
                    names=", ".join(tokens.SCOPES),
                ),
                field="scopes",
            )
    return found


def _namespaces(namespaces: Iterable[str]) -> list[str]:
    found = sorted(set(namespaces))
    if not found or len(found) > MAX_NAMESPACES:
        raise InvalidInput(
            _(
                "A token reaches 1 to %(max_namespaces)s namespaces; name them, or say '*' for all.",
                max_namespaces=MAX_NAMESPACES,
            ),
            field="namespaces",
        )
    if found == [tokens.EVERYWHERE]:
        return found
    return [fields.name(namespace, "namespaces") for namespace in found]


def _note(note: str) -> str:
    jsondata.check(note, "note")
    if len(note) > MAX_NOTE:
        raise InvalidInput(
            _("The note has %(count)s characters; at most %(max_note)s are kept.", count=len(note), max_note=MAX_NOTE),
            field="note",
        )
    return note.strip()


def _require_all(by: Any, scopes: Iterable[str]) -> None:
    """Raise `Forbidden` unless the user has every permission that the scopes stand for."""
    if by is None:
        return
    missing = sorted(name for name in tokens.permissions(scopes) if not by.has_perm(f"roost.{name}"))
    if missing:
        raise Forbidden(
            _(
                "%(actor)s may not give a token what they have not themselves: roost.%(names)s.",
                actor=actor_name(by),
                names=", roost.".join(missing),
            )
        )
