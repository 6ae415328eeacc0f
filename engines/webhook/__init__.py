"""The engine that delivers to webhook targets."""

from __future__ import annotations

from engines.webhook.engine import WebhookDelivery

__all__ = ["WebhookDelivery"]
