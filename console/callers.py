"""Who calls: a token or a signed-in user, what they may do, and which namespaces they reach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from console.accounts import active_user
from runtime import reach, tokens
from runtime.exceptions import Forbidden
from runtime.models import ApiToken
from runtime.queries.tokens import good_token

DEFAULT_NAMESPACE = "default"
VIEW_PAYLOAD = "view_payload"


class TokenHolder:
    """Stands for a token where an operation asks for a user: it has a name, permissions and namespaces."""

    is_active = True
    is_authenticated = True

    def __init__(self, token: ApiToken) -> None:
        self._name = f"token:{token.name}"
        self._permissions = tokens.permissions(token.scopes)
        named = frozenset(token.namespaces)
        reach.keep(self, None if tokens.EVERYWHERE in named else named)

    def get_username(self) -> str:
        """Return the name that events carry."""
        return self._name

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        """Say whether the token's scopes stand for the permission."""
        app, _, name = permission.partition(".")
        return app == "roost" and name in self._permissions


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls. `by` is what operations ask for permissions, `namespaces` what is reached, None for all."""

    by: Any
    key: str
    namespaces: frozenset[str] | None = None

    @classmethod
    def of_token(cls, token: ApiToken) -> Caller:
        """Return the caller that a token stands for."""
        holder = TokenHolder(token)
        return cls(by=holder, key=f"token:{token.pk}", namespaces=reach.of(holder))

    @classmethod
    def of_user(cls, user: Any) -> Caller:
        """Return the caller that a signed-in user is; what they reach says `ROOST_NAMESPACES_OF`, without it all."""
        return cls(by=user, key=f"user:{user.pk}", namespaces=reach.of(user))

    @classmethod
    def of_key(cls, key: str) -> Caller | None:
        """Return the caller with this key, None if there is none who may call now."""
        kind, _, number = key.partition(":")
        if kind == "token":
            token = good_token(int(number))
            return None if token is None else cls.of_token(token)
        user = active_user(number)
        return None if user is None else cls.of_user(user)

    def may(self, permission: str) -> bool:
        """Say whether the caller has a permission of Roost."""
        return bool(self.by.has_perm(f"roost.{permission}"))

    @property
    def reads_payload(self) -> bool:
        """Whether the caller may read what products and agents put in."""
        return self.may(VIEW_PAYLOAD)

    def require(self, permission: str) -> None:
        """Raise `Forbidden` unless the caller has the permission."""
        if not self.may(permission):
            raise Forbidden(f"{self.by.get_username()} may not do this: the permission roost.{permission} is missing.")

    def require_everywhere(self) -> None:
        """Raise `Forbidden` for a caller who reaches some namespaces only."""
        if self.namespaces is not None:
            raise Forbidden("This is about the whole installation: it takes who reaches all namespaces.")

    def reaches(self, namespace: str) -> bool:
        """Say whether the caller reaches the namespace."""
        return self.namespaces is None or namespace in self.namespaces

    def within(self, namespace: str = "") -> tuple[str, ...] | None:
        """Return the namespaces that a list may tell of, None for all. Raises `Forbidden` for one out of reach."""
        if namespace:
            return (self.namespace(namespace),)
        return None if self.namespaces is None else tuple(sorted(self.namespaces))

    def namespace(self, name: str = "") -> str:
        """Return the namespace that is meant: the one named, else the caller's only one, else the default one.

        Raises `Forbidden` for one out of reach, whether there is anything in it or not.
        """
        only = next(iter(self.namespaces)) if self.namespaces is not None and len(self.namespaces) == 1 else ""
        found = name or only or DEFAULT_NAMESPACE
        if not self.reaches(found):
            raise Forbidden(f"The namespace {found!r} is out of reach of {self.by.get_username()}.")
        return found

    def reached(self, namespaces: Iterable[str]) -> list[str]:
        """Return those of the namespaces that the caller reaches."""
        return [name for name in namespaces if self.reaches(name)]


def caller_of(request: HttpRequest) -> Caller:
    """Return who calls; the API has asked before."""
    found = request.__dict__.get("auth")
    if not isinstance(found, Caller):
        raise Forbidden("Nobody has said who they are.")
    return found
