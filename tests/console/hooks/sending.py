"""Who sends to webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.test import Client

SECRET = "a secret of some length"
BODY = json.dumps({"id": 7, "n": 3}).encode()
MAP = {"count_to": "$body.n"}


def sum_of(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def send(body: bytes = BODY, *, delivery: str = "d-1", to: str = "default/pushes", **headers: str) -> Any:
    """Send what GitHub sends, with a right signature unless one is given."""
    given = {"X-Hub-Signature-256": f"sha256={sum_of(body)}", "X-GitHub-Delivery": delivery}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return post(body, to=to, **given)


def post(body: bytes = BODY, *, to: str = "default/pushes", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    browser = Client(enforce_csrf_checks=True)
    return browser.post(f"/roost/hooks/{to}", data=body, content_type="application/json", headers=named)
