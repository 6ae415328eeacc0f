"""Take in what somebody sent to a webhook: verify, read, map, enqueue once.

Nothing of a request is looked at before its signature is right, but for its size. An unknown webhook costs what a
wrong signature costs, and is answered the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.views.decorators.debug import sensitive_variables

from runtime import clock, conditions, faults, jsondata
from runtime.choices import Verifier
from runtime.conf import settings as roost
from runtime.exceptions import (
    Conflict,
    DeliveryRefused,
    EngineLoadError,
    IdempotencyConflict,
    InvalidInput,
    NotJSON,
    TooLarge,
    UnknownEngine,
)
from runtime.models import Webhook, WorkItem
from runtime.models.workitem import new_id
from runtime.operations import fields, hook_counters, item_options
from runtime.operations.enqueue import enqueue
from runtime.operations.hook_values import BY_BODY, MAX_NAME, NEVER, ROOTS, checked
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.operations.webhooks import named
from runtime.signatures import AUTHORIZATION, Scheme, refusal, scheme_of, secret_to_keep
from runtime.store import work_database
from runtime.store.transactions import transacted

logger = logging.getLogger("roost.webhooks")

LONGEST_DELIVERY = 75
BOUND = 32
"""Letters of the body's hash that are kept beside an id which is not signed."""
LONGEST_CHALLENGE = 500
NOT_SHOWN = frozenset({AUTHORIZATION, "cookie", "proxy-authorization", "x-hub-signature"})
"""Headers that no payload map sees, beside the signature's own."""

_PLACE = re.compile(r"[A-Za-z_][\w.\[\]-]{0,99}", re.ASCII)
_NOBODY = Webhook(verifier="github", secret=secrets.token_urlsafe())


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of a delivery: "accepted", "repeated", "ignored" by the condition, or a "challenge" to answer."""

    outcome: str
    item: uuid.UUID | None = None
    challenge: str = ""


@sensitive_variables()
def receive(
    name: str, headers: Mapping[str, str], body: bytes, *, namespace: str = DEFAULT_NAMESPACE, using: str | None = None
) -> Receipt:
    """Enqueue what a request asks for; the same delivery again gives the item of the first time.

    `headers` have small letters. The item and the webhook's counters are written in one transaction, which joins the
    caller's. The item's history begins with the actor `webhook:<name>`. Raises `DeliveryRefused`.
    """
    using = using or work_database()
    webhook = _find(using, namespace, name)
    if webhook is None:
        _believe(_NOBODY, headers, body, using)
        raise _unauthorised()
    try:
        return _received(webhook, headers, body, using)
    except DeliveryRefused as error:
        hook_counters.refused(using, webhook, error)
        raise


def _find(using: str, namespace: str, name: str) -> Webhook | None:
    try:
        fields.name(namespace, "namespace")
        fields.name(name, "name", limit=MAX_NAME)
    except InvalidInput:  # an address may hold what no database takes as text
        return None
    given = roost.WEBHOOKS.get(name) if namespace == DEFAULT_NAMESPACE else None
    if given is None:
        return named(using, namespace, name).first()
    try:
        values = checked(namespace, name, given)
        return Webhook(**values, secret=secret_to_keep(given.get("secret"), values["verifier"]))
    except InvalidInput as error:
        logger.error("ROOST_WEBHOOKS[%r]: %s", name, error)
        return None


def _received(webhook: Webhook, headers: Mapping[str, str], body: bytes, using: str) -> Receipt:
    scheme = _believe(webhook, headers, body, using)
    if not webhook.enabled:
        raise DeliveryRefused("disabled", f"The webhook {webhook.name!r} is disabled.")
    if len(body) > webhook.max_bytes:
        raise DeliveryRefused("too_large", f"The body has {len(body)} bytes; at most {webhook.max_bytes} are taken.")
    data = read_body(body)
    if webhook.verifier == "slack" and isinstance(data, dict) and data.get("type") == "url_verification":
        return Receipt(outcome="challenge", challenge=str(data.get("challenge"))[:LONGEST_CHALLENGE])
    shown = {key: value for key, value in headers.items() if key not in NOT_SHOWN and key != scheme.header}
    scope = {"body": data, "headers": shown}
    if webhook.condition and not conditions.condition(webhook.condition, ROOTS).holds(scope):
        with faults.around("deliver"):
            hook_counters.count(using, webhook, "ignored_total")
        return Receipt(outcome="ignored")
    key = _key(webhook, scope, body)
    with faults.around("deliver"):
        return transacted(using, lambda: _place(webhook, scope, key, using))


def _believe(webhook: Webhook, headers: Mapping[str, str], body: bytes, using: str) -> Scheme:
    """Return the scheme by which the request is believed. Raises `DeliveryRefused`."""
    scheme = scheme_of(webhook.verifier, webhook.verifier_options)
    now = clock.now(using)
    good = [webhook.secret]
    if webhook.previous_until is not None and now < webhook.previous_until:
        good.append(webhook.previous_secret)
    if why := refusal(webhook.verifier, scheme, headers, body, good, now.timestamp()):
        raise _unauthorised(f"The signature is {why}.")
    return scheme


def _unauthorised(message: str = "There is no such webhook.") -> DeliveryRefused:
    return DeliveryRefused("unauthorised", message)


def read_body(body: bytes) -> Any:
    """Return the JSON of a body. Raises `DeliveryRefused`."""
    try:
        data = json.loads(body)
        jsondata.check(data, "body")
    except NotJSON as error:
        raise DeliveryRefused("bad_body", str(error)) from None
    except (ValueError, RecursionError):
        raise DeliveryRefused("bad_body", "The body is no JSON.") from None
    return data


def _key(webhook: Webhook, scope: Mapping[str, Any], body: bytes) -> str | None:
    """Return the idempotency key of the delivery, None if each request is a new one.

    No timestamp is in it: a sender that tries again signs anew. An id that stands in a header is not signed where the
    body is, so it counts together with the body: nobody can use up the id of a delivery that is still to come.
    """
    if webhook.delivery_from == NEVER:
        return None
    if webhook.delivery_from == BY_BODY:
        return f"webhook:{webhook.name}:{_hash(body)}"
    path = conditions.path(webhook.delivery_from, ROOTS, "delivery_from")
    found = path.value(scope)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise DeliveryRefused("no_delivery_id", f"The delivery has no id at {webhook.delivery_from}.")
    text = str(found)
    if len(text) > LONGEST_DELIVERY or not text.isprintable() or text != text.strip():
        text = _hash(text.encode(errors="surrogatepass"))
    unsigned = "headers" in path.roots and webhook.verifier != Verifier.BEARER
    return f"webhook:{webhook.name}:{text}" + (f":{hashlib.sha256(body).hexdigest()[:BOUND]}" if unsigned else "")


def _hash(data: bytes) -> str:
    return "sha256-" + hashlib.sha256(data).hexdigest()


def _place(webhook: Webhook, scope: Mapping[str, Any], key: str | None, using: str) -> Receipt:
    """Enqueue the item unless its delivery has one; count it last, so that the row is locked for no longer than needed.

    What was delivered before is answered before anything of the webhook is looked at: its map or its engine may have
    changed meanwhile.
    """
    item = _holder(webhook, key, using)
    new = None
    if item is None:
        new = new_id()
        try:
            item = _enqueue(webhook, scope, key, new, using)
        except IdempotencyConflict:  # the other of two at once was mapped otherwise, before or after an edit
            item = _holder(webhook, key, using)
    if item is None:
        raise DeliveryRefused("unavailable", "The same delivery is being taken now. Send it again.")
    outcome = "accepted" if item == new else "repeated"
    hook_counters.count(using, webhook, f"{outcome}_total", item=item)
    return Receipt(outcome=outcome, item=item)


def _holder(webhook: Webhook, key: str | None, using: str) -> uuid.UUID | None:
    if key is None:
        return None
    rows = WorkItem.objects.using(using).filter(namespace=webhook.namespace, idempotency_key=key)
    return rows.values_list("pk", flat=True).first()


def _not_taken(webhook: Webhook, error: InvalidInput) -> DeliveryRefused:
    """Say where the payload is wrong. The error's own words may quote it, and this is answered, shown and kept."""
    where = f": see {error.field}" if _PLACE.fullmatch(error.field) else ""
    if isinstance(error, TooLarge):
        return DeliveryRefused("too_large", f"The item would be larger than may be stored{where}.")
    return DeliveryRefused("invalid", f"The engine {webhook.engine!r} does not take such an item{where}.")


def _enqueue(webhook: Webhook, scope: Mapping[str, Any], key: str | None, new: uuid.UUID, using: str) -> uuid.UUID:
    """Return the id of the item that stands for the delivery. Raises `DeliveryRefused`, `IdempotencyConflict`."""
    try:
        item = enqueue(
            webhook.engine,
            conditions.filled(webhook.payload, scope, ROOTS),
            actor=f"webhook:{webhook.name}",
            using=using,
            namespace=webhook.namespace,
            idempotency_key=key,
            item_id=new,
            **item_options.for_enqueue(webhook.options),
        )
    except (EngineLoadError, UnknownEngine) as error:
        logger.error("webhook %s: %s", webhook.name, error)
        raise DeliveryRefused("unavailable", f"The engine {webhook.engine!r} is not here.") from error
    except InvalidInput as error:
        raise _not_taken(webhook, error) from None
    except IdempotencyConflict:
        raise
    except Conflict as error:
        raise DeliveryRefused("unavailable", str(error)) from error
    return item.pk
