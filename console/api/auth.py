"""Know who calls: by a bearer token, or by Django's session with its CSRF token. Each is counted then."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from console.api.problems import Refusal
from console.api.reading import bounded
from console.api.throttle import take
from console.callers import Caller
from runtime.operations.token_use import recognise


class Token(HttpBearer):
    """Authorization: Bearer roost_…"""

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Return who holds the token, None for one that is not good."""
        found = recognise(token, within=bounded)
        if found is None:
            return None
        caller = Caller.of_token(found)
        take(caller.key)
        return caller


class Session(APIKeyCookie):
    """Django's session; whatever changes something needs the CSRF token too (X-CSRFToken)."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Return the user of the session, None where there is none, or where a token was sent."""
        if "Authorization" in request.headers or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """Return the user, if the session is good. Raises `Refusal` for a missing CSRF token."""
        user: Any = getattr(request, "user", None)
        if user is None or not user.is_authenticated or not user.is_active:
            return None
        if check_csrf(request) is not None:
            raise Refusal(403, "csrf", "Send the CSRF token of the session as X-CSRFToken.")
        caller = Caller.of_user(user)
        take(caller.key)
        return caller


AUTH = (Token(), Session())


def recognised(request: HttpRequest) -> Caller | None:
    """Return who a request comes from, None without a token or a session that is good. Nothing is counted."""
    said = request.headers.get("Authorization")
    if said is not None:
        kind, _, text = said.partition(" ")
        found = recognise(text, within=bounded) if kind.lower() == Token.openapi_scheme else None
        return None if found is None else Caller.of_token(found)
    user: Any = getattr(request, "user", None)
    known = user is not None and user.is_authenticated and user.is_active
    return Caller.of_user(user) if known else None
