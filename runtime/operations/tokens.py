"""Make, exchange and revoke tokens of the API, and know them again.

create_token("ci", scopes=["read", "enqueue"], namespaces=["builds"]).text is the one time that a token can be read.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError

from runtime import clock, faults, jsondata, tokens
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound
from runtime.models import ApiToken
from runtime.operations import fields
from runtime.operations.base import actor_name, check_permission
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
        if self.expires_at is not None and self.expires_at <= clock.now(self.using):
            raise InvalidInput("expires_at is in the past. Give a later time.", field="expires_at")

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
            raise Conflict(f"There is an API token {self.name!r} already. Rotate it, or use another name.") from None
        logger.info("API token %s was made by %s", self.name, self.actor or "the product")
        return IssuedToken(row=row, text=made.text)


class RotateToken:
    """Exchange a token for a new one; the old one is good for `keep` seconds more, and the one before no longer."""

    def __init__(
        self,
        name: str,
        *,
        keep: float | dt.timedelta = KEEP_SECONDS,
        by: Any = None,
        actor: str = "",
        using: str | None = None,
    ) -> None:
        self.name = name
        self.keep = fields.seconds(keep, "keep")
        self.by = by
        self.actor = actor_name(by, actor)
        self.using = using or work_database()

    def execute(self) -> IssuedToken:
        """Do it. One transaction; joins the caller's. Raises `NotFound`, `Forbidden`, `Conflict` (revoked)."""
        check_permission(self.by, "change_apitoken", "rotate API tokens")
        made = tokens.make()

        def once() -> ApiToken:
            row = find_token(self.name, using=self.using, lock=True)
            _require_all(self.by, row.scopes)
            if row.revoked_at is not None:
                raise Conflict(f"The API token {self.name!r} is revoked. Make a new one.", state="revoked")
            until = clock.now(self.using) + dt.timedelta(seconds=self.keep) if self.keep else None
            return row.compare_and_set(
                prefix=made.prefix,
                token_hash=made.hash,
                previous_hash=row.token_hash if until else "",
                previous_until=until,
            )

        with faults.around("token"):
            row = transacted(self.using, once)
        logger.info("API token %s was exchanged by %s", self.name, self.actor or "the product")
        return IssuedToken(row=row, text=made.text)


def create_token(
    name: str,
    *,
    scopes: Iterable[str],
    namespaces: Iterable[str],
    expires_at: dt.datetime | None = None,
    note: str = "",
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> IssuedToken:
    """Make a token; see `CreateToken`. Raises `InvalidInput`, `Forbidden`, `Conflict`."""
    return CreateToken(
        name,
        scopes=scopes,
        namespaces=namespaces,
        expires_at=expires_at,
        note=note,
        by=by,
        actor=actor,
        using=using,
    ).execute()


def rotate_token(
    name: str,
    *,
    keep: float | dt.timedelta = KEEP_SECONDS,
    by: Any = None,
    actor: str = "",
    using: str | None = None,
) -> IssuedToken:
    """Exchange a token; see `RotateToken`. Raises `NotFound`, `Forbidden`, `Conflict`, `InvalidInput`."""
    return RotateToken(name, keep=keep, by=by, actor=actor, using=using).execute()


def revoke_token(name: str, *, by: Any = None, actor: str = "", using: str | None = None) -> ApiToken:
    """End a token, and the one before it, at once and for good. Raises `NotFound`, `Forbidden`, `Conflict`."""
    using = using or work_database()
    check_permission(by, "change_apitoken", "revoke API tokens")

    def once() -> ApiToken:
        row = find_token(name, using=using, lock=True)
        if row.revoked_at is not None:
            raise Conflict(f"The API token {name!r} is revoked already.", state="revoked")
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
        raise NotFound(f"There is no API token {name!r}: `roost token list` shows those there are.")
    return found


def _scopes(scopes: Iterable[str]) -> list[str]:
    found = sorted(set(scopes))
    if not found:
        raise InvalidInput(f"A token needs scopes: {', '.join(tokens.SCOPES)}.", field="scopes")
    for scope in found:
        if not tokens.is_scope(scope):
            raise InvalidInput(
                f"There is no scope {scope!r}. Scopes: {', '.join(tokens.SCOPES)}, or a permission such as "
                f"cancel_workitem.",
                field="scopes",
            )
    return found


def _namespaces(namespaces: Iterable[str]) -> list[str]:
    found = sorted(set(namespaces))
    if not found or len(found) > MAX_NAMESPACES:
        raise InvalidInput(
            f"A token reaches 1 to {MAX_NAMESPACES} namespaces; name them, or say '*' for all.", field="namespaces"
        )
    if found == [tokens.EVERYWHERE]:
        return found
    return [fields.name(namespace, "namespaces") for namespace in found]


def _note(note: str) -> str:
    jsondata.check(note, "note")
    if len(note) > MAX_NOTE:
        raise InvalidInput(f"The note has {len(note)} characters; at most {MAX_NOTE} are kept.", field="note")
    return note.strip()


def _require_all(by: Any, scopes: Iterable[str]) -> None:
    """Raise `Forbidden` unless the user has every permission that the scopes stand for."""
    if by is None:
        return
    missing = sorted(name for name in tokens.permissions(scopes) if not by.has_perm(f"roost.{name}"))
    if missing:
        raise Forbidden(
            f"{actor_name(by)} may not give a token what they have not themselves: roost.{', roost.'.join(missing)}."
        )
