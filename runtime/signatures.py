"""Say whether a request comes from who knows the secret: HMAC in a header, as GitHub, Slack and others send it, or a
bearer token. Pure.

A secret is kept as it is, or as the name of an environment variable (`env:NAME`), or, for a bearer token, as its hash
(`sha256:…`): an HMAC cannot be checked without the secret itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.views.decorators.debug import sensitive_variables

from runtime.choices import Verifier
from runtime.exceptions import InvalidInput

ENV = "env:"
HASHED = "sha256:"
SHORTEST_SECRET = 16
LONGEST_SECRET = 500
WINDOW_SECONDS = 300.0
LONGEST_WINDOW = 24 * 3600.0
ALGORITHMS = ("sha256", "sha512")
ENCODINGS = ("hex", "base64")
AUTHORIZATION = "authorization"

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """Where a signature stands and what it is made of.

    `signed` is what the HMAC is taken over, with `{timestamp}` and `{body}` in it, the body last. A request whose
    timestamp (seconds, in `timestamp_header`) is further than `window` seconds from now is stale.
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    timestamp_header: str = ""
    signed: str = "{body}"
    window: float = WINDOW_SECONDS


GITHUB = Scheme(header="x-hub-signature-256", prefix="sha256=")
SLACK = Scheme(
    header="x-slack-signature",
    prefix="v0=",
    timestamp_header="x-slack-request-timestamp",
    signed="v0:{timestamp}:{body}",
)


def scheme_of(verifier: str, options: Mapping[str, Any]) -> Scheme:
    """Return the scheme of a verifier. Raises `InvalidInput` for options that it does not take."""
    if verifier not in Verifier.values:
        raise InvalidInput(
            f"verifier is {verifier!r}; it must be one of {', '.join(Verifier.values)}.", field="verifier"
        )
    if verifier == Verifier.HMAC:
        return _generic(options)
    if options:
        raise InvalidInput(f"The verifier {verifier} takes no options; hmac does.", field="verifier_options")
    return {Verifier.GITHUB: GITHUB, Verifier.SLACK: SLACK}.get(Verifier(verifier), Scheme(header=AUTHORIZATION))


def _generic(options: Mapping[str, Any]) -> Scheme:
    known = Scheme.__dataclass_fields__
    if unknown := [repr(name) for name in options if name not in known]:
        _wrong(f"has {', '.join(unknown)}; it takes {', '.join(known)}")
    if any(not isinstance(value, str) for name, value in options.items() if name != "window"):
        _wrong("may hold text only, but for window")
    names = {name: options[name].lower() for name in ("header", "timestamp_header") if options.get(name)}
    scheme = Scheme(**{"header": "", **options, **names})
    for name in ("header", *(["timestamp_header"] if scheme.timestamp_header else [])):
        if not _HEADER.match(getattr(scheme, name)):
            _wrong(f'needs {name}, the name of a header, as in {{"{name}": "X-Signature"}}')
    if scheme.algorithm not in ALGORITHMS or scheme.encoding not in ENCODINGS:
        _wrong(f"may have the algorithm {' or '.join(ALGORITHMS)}, and the encoding {' or '.join(ENCODINGS)}")
    _check_signed(scheme)
    if isinstance(scheme.window, bool) or not isinstance(scheme.window, int | float):
        _wrong("has a window that is no number of seconds")
    if not 0 < scheme.window <= LONGEST_WINDOW:
        _wrong(f"has a window of {scheme.window} s; give more than 0, at most {LONGEST_WINDOW:g}")
    return scheme


def _check_signed(scheme: Scheme) -> None:
    lead, found, rest = scheme.signed.partition("{body}")
    if not found or rest or lead.count("{timestamp}") != bool(scheme.timestamp_header):
        # A timestamp that is not signed could be changed by whoever replays the request.
        _wrong("must have `signed` end with {body}, and have {timestamp} in it once if there is a timestamp_header")
    if len(scheme.signed) > 100 or len(scheme.prefix) > 100:
        _wrong("has a prefix or `signed` of more than 100 characters")


def _wrong(what: str) -> None:
    raise InvalidInput(f"verifier_options {what}.", field="verifier_options")


@sensitive_variables()
def refusal(
    verifier: str, scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float
) -> str:
    """Say why the request is not believed: "missing", "wrong" or "stale"; nothing ("") if it is.

    `headers` have small letters, `secrets` are as they are kept, `now` is seconds since 1970. Secrets are compared in
    constant time, every one of them.
    """
    given = headers.get(scheme.header, "")
    known = [usable for secret in secrets if (usable := read_secret(secret))]
    if verifier == Verifier.BEARER:
        found = _knows_token(given, known)
    else:
        # Also where nothing is signed: how long an answer takes must not tell which webhooks there are.
        timestamp = headers.get(scheme.timestamp_header, "") if scheme.timestamp_header else ""
        sent = given_digest(scheme, given)
        same = [hmac.compare_digest(sent, digest(scheme, key, timestamp, body)) for key in known]
        found = any(same)
    if not given or (scheme.timestamp_header and not headers.get(scheme.timestamp_header)):
        return "missing"
    return ("stale" if _is_stale(scheme, headers, now) else "") if found else "wrong"


def _is_stale(scheme: Scheme, headers: Mapping[str, str], now: float) -> bool:
    if not scheme.timestamp_header:
        return False
    timestamp = headers[scheme.timestamp_header]
    return not _TIMESTAMP.match(timestamp) or abs(now - int(timestamp)) > scheme.window


@sensitive_variables()
def digest(scheme: Scheme, secret: str, timestamp: str, body: bytes) -> bytes:
    """Return the HMAC of a request."""
    lead = scheme.signed.removesuffix("{body}").replace("{timestamp}", timestamp)
    return hmac.new(secret.encode(), lead.encode(errors="surrogateescape") + body, scheme.algorithm).digest()


def given_digest(scheme: Scheme, header: str) -> bytes:
    """Return the HMAC that a header holds; nothing if it holds none."""
    if not header.startswith(scheme.prefix):
        return b""
    text = header.removeprefix(scheme.prefix)
    try:
        return bytes.fromhex(text) if scheme.encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


@sensitive_variables()
def _knows_token(header: str, known: list[str]) -> bool:
    kind, _, token = header.partition(" ")
    given = token_hash(token.strip())
    hashes = [secret if secret.startswith(HASHED) else token_hash(secret) for secret in known]
    found = [hmac.compare_digest(given, one) for one in hashes]
    return kind.lower() == "bearer" and any(found)


@sensitive_variables()
def token_hash(token: str) -> str:
    """Return what is kept of a bearer token."""
    return HASHED + hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def is_env(text: str) -> bool:
    """Say whether a text is the name of a variable that holds the real one."""
    return text.startswith(ENV) and bool(_ENV_NAME.match(text.removeprefix(ENV)))


@sensitive_variables()
def read_secret(kept: str) -> str:
    """Return the secret that is kept so; nothing if its variable is not set, or is too short to be one."""
    if not kept.startswith(ENV):
        return kept
    found = os.environ.get(kept.removeprefix(ENV), "")
    return found if len(found) >= SHORTEST_SECRET else ""


@sensitive_variables()
def whereabouts(kept: str) -> tuple[str, str]:
    """Return where a secret that is kept so can be read, "env:NAME" or "here", and why it cannot be now, if so."""
    if not kept.startswith(ENV):
        return "here", ""
    name = kept.removeprefix(ENV)
    wrong = "is too short" if os.environ.get(name) else "is not set here"
    return kept, "" if read_secret(kept) else f"The variable {name} {wrong}."


@sensitive_variables()
def secret_to_keep(secret: Any, verifier: str) -> str:
    """Return a secret in the form in which it is kept. Raises `InvalidInput`, which never shows it."""
    if not isinstance(secret, str) or not secret.isprintable() or secret != secret.strip():
        raise InvalidInput("secret must be text of printable characters, without blanks around it.", field="secret")
    if secret.startswith(ENV):
        if not is_env(secret):
            raise InvalidInput("secret begins with env: and must go on with a variable's name.", field="secret")
        return secret
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise InvalidInput(
            f"secret has {len(secret)} characters; give {SHORTEST_SECRET} to {LONGEST_SECRET}, made at random.",
            field="secret",
        )
    return token_hash(secret) if verifier == Verifier.BEARER else secret
