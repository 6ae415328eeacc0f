"""Say what is wrong with a URL that somebody wants fetched, before anything is resolved."""

from __future__ import annotations

from urllib.parse import urlsplit

MAX_URL = 2000
SCHEMES = ("http", "https")


def url_trouble(url: str) -> str:
    """Say what is wrong with an http or https address; nothing ("") if it can be fetched."""
    if len(url) > MAX_URL:
        return f"it is longer than {MAX_URL} characters"
    if not url.isprintable() or " " in url:
        return "it holds spaces or control characters"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        return f"it is no URL ({error})"
    if parts.scheme not in SCHEMES:
        return f"its scheme is {parts.scheme!r}" if parts.scheme else "it is no URL"
    if not parts.hostname:
        return "it names no host"
    if parts.username is not None or parts.password is not None:
        return "it holds a user name or password, which would be stored and shown"
    return ""
