"""What a delivery to a webhook target looks like on the wire: for whoever sends one, and for whoever gets one. Pure.

    X-Roost-Event       item.done, item.failed, item.cancelled or item.waiting
    X-Roost-Delivery    an id that is the same however often the delivery is tried: know it again by that
    X-Roost-Timestamp   seconds since 1970, of this attempt
    X-Roost-Signature   v1= and the hex HMAC-SHA256 of "<timestamp>.<body>" under the target's secret

A receiver written in Python calls `receive`; any other computes the same and compares in constant time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.views.decorators.debug import sensitive_variables

from runtime import jsondata
from runtime.choices import Verifier
from runtime.exceptions import DeliveryRefused
from runtime.signatures import Scheme, digest, refusal

ENGINE = "webhook_delivery"
"""Name of the engine whose items are the deliveries."""

EVENT, DELIVERY = "x-roost-event", "x-roost-delivery"
SCHEME = Scheme(
    header="x-roost-signature",
    prefix="v1=",
    timestamp_header="x-roost-timestamp",
    signed="{timestamp}.{body}",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A delivery whose signature is right. `body` is the JSON that was sent."""

    id: str
    event: str
    body: Any


@sensitive_variables()
def signed_headers(secret: str, *, event: str, delivery: str, content: bytes, now: float) -> dict[str, str]:
    """Return the headers of a delivery. `now` is seconds since 1970."""
    timestamp = str(int(now))
    return {
        "content-type": "application/json",
        EVENT: event,
        DELIVERY: delivery,
        SCHEME.timestamp_header: timestamp,
        SCHEME.header: SCHEME.prefix + digest(SCHEME, secret, timestamp, content).hex(),
    }


@sensitive_variables()
def receive(
    headers: Mapping[str, str], content: bytes, secrets: str | Iterable[str], *, now: float | None = None
) -> Delivery:
    """Return the delivery that a request holds, if one of the secrets has signed it within five minutes of `now`.

    `content` is the body as it came, unparsed. `now` is seconds since 1970; this machine's clock if it is not given.
    The same delivery may come more than once, and later than one that happened after it. Raises `DeliveryRefused`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    moment = time.time() if now is None else now
    if why := refusal(Verifier.HMAC, SCHEME, given, content, known, moment):
        raise DeliveryRefused("unauthorised", f"The signature of the delivery is {why}.")
    try:
        body = jsondata.loads(content)
    except (ValueError, RecursionError) as error:
        raise DeliveryRefused("bad_body", f"The delivery is no JSON: {error}.") from None
    return Delivery(id=given.get(DELIVERY, ""), event=given.get(EVENT, ""), body=body)
