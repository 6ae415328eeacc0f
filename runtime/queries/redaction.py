"""Take out of JSON what looks like a secret. By the names of keys, and a few shapes of text: a help, no proof."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from django.utils.module_loading import import_string

from runtime.conf import settings as roost

log = logging.getLogger("roost.redaction")

REDACTED = "[redacted]"
HOOK_FAILED = "[redacted: ROOST_REDACT failed]"

SECRET = frozenset(
    {
        *("password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "authorization", "credential"),
        *("credentials", "cookie", "cookies", "apikey", "bearer", "jwt", "otp"),
    }
)
SECRET_KEYS = frozenset({"api", "private", "access", "signing", "secret", "encryption", "auth"})
"""Words that make a secret of a "key" behind them."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IN_TEXT = (
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 " + REDACTED),
    (re.compile(r"(\w://)[^\s/@:]+:[^\s/@]+@"), r"\1" + REDACTED + "@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
)


def redacted(value: Any) -> Any:
    """Return a copy in which the values of keys that sound secret, and secrets that show in texts, are replaced."""
    if isinstance(value, dict):
        return {
            key: REDACTED if inner is not None and sounds_secret(key) else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    return _text(value) if isinstance(value, str) else value


def shown(value: Any) -> Any:
    """Return a value as people are shown it: redacted, and then as `ROOST_REDACT` leaves it.

    The product's callable gets the redacted copy and returns what is shown. When it cannot be found or fails, nothing
    of the value is shown, and the log says why.
    """
    cleaned = redacted(value)
    if not roost.REDACT or value is None:
        return cleaned
    try:
        return hook()(cleaned)
    except Exception as error:  # noqa: BLE001 - the product's code may raise anything, with the secret in its message
        log.error("ROOST_REDACT = %r failed with %s; nothing is shown.", roost.REDACT, type(error).__name__)
        return HOOK_FAILED


def hook() -> Callable[[Any], Any]:
    """Return the product's callable. Raises `ImportError`, and `TypeError` for what cannot be called."""
    found = import_string(str(roost.REDACT))
    if not callable(found):
        raise TypeError(f"{roost.REDACT} is a {type(found).__name__}, which cannot be called.")
    called: Callable[[Any], Any] = found
    return called


def sounds_secret(key: str) -> bool:
    """Say whether a key is the name of a secret: `apiKey`, `DB_PASSWORD`, `access-token`; not `tokens_used`."""
    words = [word.lower() for word in _WORD.findall(key)]
    pairs = pairwise(words)
    return not SECRET.isdisjoint(words) or any(first in SECRET_KEYS and then == "key" for first, then in pairs)


def _text(text: str) -> str:
    for shape, instead in _IN_TEXT:
        text = shape.sub(instead, text)
    return text
