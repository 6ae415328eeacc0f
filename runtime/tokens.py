"""What a token of the API looks like, and what its scopes allow. Pure.

A token is `roost_<prefix>_<secret>`. The prefix tells people which one it is; only the SHA-256 of the whole is kept:
its 256 random bits need no salt, and nobody finds them from the hash. A scope is a name for several of Django's
permissions, the ones that the admin asks for, or one of these permissions itself.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

EVERYWHERE = "*"
"""Stands for all namespaces."""
LOOKS = re.compile(r"roost_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\Z")

_TABLES = (
    *("workitem", "event", "snapshot", "journalentry", "artifact", "wait", "signal", "lease", "resource"),
    *("resourceclaim", "worker", "limit", "schedule", "trigger", "webhook", "webhooktarget"),
)
_MOVES = (
    *("cancel", "requeue", "redrive", "pause", "resume", "fork", "follow_up"),
    *("release", "acknowledge", "prioritise"),
)
_CONFIGURED = ("limit", "schedule", "trigger", "webhook", "webhooktarget")

SCOPES: dict[str, tuple[str, ...]] = {
    "read": tuple(f"view_{table}" for table in _TABLES),
    "payload": ("view_payload",),
    "enqueue": ("enqueue_workitem",),
    "operate": (*(f"{verb}_workitem" for verb in _MOVES), "reset_journal"),
    "answer": ("approve_wait", "respond_wait"),
    "signal": ("send_signal",),
    "configure": (
        *(f"{verb}_{table}" for table in _CONFIGURED for verb in ("add", "change", "delete")),
        *("change_resource", "change_worker", "run_schedule"),
    ),
    "hold": ("hold_workitem",),
    "upload": ("upload_artifact",),
    "import": ("import_workitem",),
}
"""Scope → the permissions that it stands for."""

PERMISSIONS: frozenset[str] = frozenset(name for names in SCOPES.values() for name in names)
"""Every permission that a token can have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenText:
    """A token as it is handed out, and what is kept of it."""

    text: str = field(repr=False)
    prefix: str
    hash: str


def make() -> TokenText:
    """Return a new token."""
    prefix = secrets.token_hex(4)
    text = f"roost_{prefix}_{secrets.token_urlsafe(32)}"
    return TokenText(text=text, prefix=prefix, hash=hashed(text))


def hashed(text: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def looks_right(text: str) -> bool:
    """Say whether the text can be a token at all; what cannot is not looked up."""
    return LOOKS.match(text) is not None


def is_scope(name: str) -> bool:
    """Say whether there is such a scope."""
    return name in SCOPES or name in PERMISSIONS


def permissions(scopes: Iterable[str]) -> frozenset[str]:
    """Return the permissions that the scopes stand for; a name that is no scope stands for none."""
    return frozenset(
        permission for scope in scopes for permission in SCOPES.get(scope, (scope,) if scope in PERMISSIONS else ())
    )
