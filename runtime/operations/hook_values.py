"""Check what a webhook has, and return it in the form in which it is stored. Touches no database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from runtime import conditions, jsondata
from runtime.choices import Verifier
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations import fields, item_options
from runtime.sentences import say as _
from runtime.signatures import scheme_of

ROOTS = ("body", "headers")
MAX_NAME = 80
MAX_NOTE = 500
BY_BODY = "body"
NEVER = "none"
DEFAULT_DELIVERY = {Verifier.GITHUB: 'headers["x-github-delivery"]', Verifier.SLACK: "body.event_id"}
COLUMNS = (
    *("namespace", "name", "engine", "verifier", "verifier_options", "condition", "payload", "options"),
    *("delivery_from", "max_bytes", "enabled", "note"),
)


class WebhookOptions(TypedDict, total=False):
    """What a webhook has; what is left out stays as it is, or is the default of a new webhook.

    `delivery_from` says by what a delivery is known when it comes again: a path such as `headers["x-request-id"]` or
    `body.id`; "body" for the whole body, whenever it was signed; "none" for nothing at all, each request being a new
    one. GitHub's and Slack's have a default, and so has what signs a timestamp ("body").
    """

    engine: str
    verifier: str
    verifier_options: Mapping[str, Any]
    secret: str
    condition: str
    payload: Any
    options: Mapping[str, Any]
    delivery_from: str
    max_bytes: int
    enabled: bool
    note: str


def checked(namespace: str, name: str, given: Any) -> dict[str, Any]:
    """Return a webhook's columns, its secrets apart. Raises `InvalidInput`."""
    if not isinstance(given, Mapping):
        raise InvalidInput(
            _("The webhook %(name)r is a %(kind)s; it must be a mapping.", name=name, kind=type(given).__name__),
            field="name",
        )
    if unknown := [repr(key) for key in given if key not in WebhookOptions.__annotations__]:
        allowed = ", ".join(WebhookOptions.__annotations__)
        raise InvalidInput(
            _(
                "The webhook %(name)r has %(names)s; it takes %(allowed)s.",
                name=name,
                names=", ".join(unknown),
                allowed=allowed,
            ),
            field="name",
        )
    verifier = given.get("verifier", "")
    told = given.get("verifier_options") or {}
    if not isinstance(told, Mapping):
        raise InvalidInput(_("verifier_options must be an object."), field="verifier_options")
    timed = bool(scheme_of(verifier, told).timestamp_header)
    return {
        "namespace": fields.name(namespace, "namespace"),
        "name": fields.name(name, "name", limit=MAX_NAME),
        "engine": fields.text(given.get("engine", ""), "engine", limit=100),
        "verifier": str(verifier),
        "verifier_options": dict(told),
        "delivery_from": _delivery_from(given.get("delivery_from"), verifier, timed=timed),
        "max_bytes": fields.whole(given.get("max_bytes", roost.MAX_WEBHOOK_BYTES), "max_bytes", fields.INT),
        "enabled": bool(given.get("enabled", True)),
        "note": fields.text(given["note"], "note", limit=MAX_NOTE) if given.get("note") else "",
        **_mapped(given),
    }


def _mapped(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that make an item of a request."""
    text = given.get("condition") or ""
    if text:
        conditions.condition(text, ROOTS)
    payload = given.get("payload")
    payload = "$body" if payload is None else payload
    jsondata.dumps(payload, what="payload", max_bytes=roost.MAX_PAYLOAD_BYTES)
    conditions.roots_of(payload, ROOTS)
    options = item_options.checked(given.get("options") or {})
    item_options.for_enqueue(options)
    return {"condition": text, "payload": payload, "options": options}


def _delivery_from(given: Any, verifier: str, *, timed: bool) -> str:
    text = given or DEFAULT_DELIVERY.get(Verifier(verifier), BY_BODY if timed else "")
    if not isinstance(text, str) or not text:
        raise InvalidInput(
            _(
                "Say in delivery_from by what a delivery is known when it comes again: a path such as body.id or "
                'headers["x-request-id"], "%(by_body)s" for the whole body, or "%(never)s" if each request is a new '
                "one.",
                by_body=BY_BODY,
                never=NEVER,
            ),
            field="delivery_from",
        )
    if len(text) > 200:
        raise InvalidInput(_("delivery_from has more than 200 characters."), field="delivery_from")
    if text not in (BY_BODY, NEVER):
        conditions.path(text, ROOTS, "delivery_from")
    return text
