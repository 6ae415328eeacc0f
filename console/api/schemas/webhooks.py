"""What calls in, and who is called."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import SecretStr

from console.api.schemas.kinds import Asked, Flag, Seconds, Whole, example


class WebhookOut(Schema):
    """A webhook and what it got; never its secret."""

    namespace: str
    name: str
    path: str
    engine: str
    verifier: str
    enabled: bool
    source: str
    trouble: str
    accepted_total: int = 0
    repeated_total: int = 0
    refused_total: int = 0


class Webhooks(Schema):
    """Webhooks by namespace and name."""

    webhooks: list[WebhookOut]
    next: str | None


class WebhookIn(Asked):
    """A webhook; what is left out stays as it is, or has its default. A new one without a secret is given one."""

    model_config = example(engine="counter", verifier="github", payload={"count_to": 3})

    engine: str = ""
    verifier: str = ""
    verifier_options: dict[str, Any] = {}
    secret: SecretStr = SecretStr("")
    condition: str = ""
    payload: Any = None
    options: dict[str, Any] = {}
    delivery_from: str = ""
    max_bytes: Whole | None = None
    enabled: Flag = True
    note: str = ""


class WebhookSet(WebhookOut):
    """A webhook as it is now; `secret` is its new secret if one was made, shown this once."""

    secret: str


class RotateIn(Asked):
    """Seconds for which the old secret stays good."""

    keep: Seconds = 24 * 3600.0


class SecretOut(Schema):
    """A new secret, shown this once."""

    name: str
    secret: str


class TargetOut(Schema):
    """Who is called when items end or wait, and what became of it; never the address's path, nor the secret."""

    name: str
    server: str
    events: list[str]
    namespace: str
    engine: str
    enabled: bool
    delivered_total: int
    failed_total: int
    trouble: str


class TargetIn(Asked):
    """Who shall be called; what is left out stays as it is, or has its default. A new one without a secret gets one."""

    model_config = example(url="https://ops.example/roost", events=["failed", "waiting"])

    url: SecretStr = SecretStr("")
    events: list[str] = []
    namespace: str = ""
    engine: str = ""
    condition: str = ""
    contents: list[str] = []
    redact: Flag = True
    options: dict[str, Any] = {}
    secret: SecretStr = SecretStr("")
    enabled: Flag = True
    note: str = ""


class TargetSet(TargetOut):
    """A target as it is now; `secret` is its new secret if one was made, shown this once."""

    secret: str


class Targets(Schema):
    """Webhook targets by name."""

    targets: list[TargetOut]
    next: str | None
