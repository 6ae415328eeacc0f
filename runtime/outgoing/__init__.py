"""Call out over HTTP without being turned against the own network.

    from runtime.outgoing import afetch, fetch
    reply = fetch("POST", url, headers={"Content-Type": "application/json"}, content=body)
    reply.check()

Whoever writes a URL into a payload makes this machine connect to it. So every address is judged when it is dialled:
the name is resolved once, all that it resolves to is judged, and exactly what was judged is dialled, under the name
that TLS and the Host header need. Redirects are followed by hand, each judged anew. Private, loopback, link-local and
reserved ranges are refused unless `ROOST_OUTGOING_ALLOW` names them. No proxy of the environment is used, and one
call takes at most its time and its bytes, decompressed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.outgoing.client import afetch, fetch, opened
    from runtime.outgoing.reply import BadStatus, Reply

__all__ = ["BadStatus", "Reply", "afetch", "fetch", "opened"]

_HOMES = {"BadStatus": "reply", "Reply": "reply", "afetch": "client", "fetch": "client", "opened": "client"}


def __getattr__(name: str) -> Any:
    """Load the client when somebody asks for it: system checks read the rules alone, in every command and worker."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
