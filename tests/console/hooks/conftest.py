"""A webhook, and nobody counted yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.models import Webhook
from runtime.operations import hook_counters
from runtime.operations.webhooks import set_webhook
from tests.console.hooks.sending import MAP, SECRET


@pytest.fixture(autouse=True)
def count_at_once() -> Iterator[None]:
    """Let no refusal of another test keep one of this test waiting."""
    hook_counters.forget()
    yield
    hook_counters.forget()


@pytest.fixture
def github() -> Webhook:
    """Make a webhook as GitHub calls it."""
    return set_webhook("pushes", engine="counter", verifier="github", secret=SECRET, payload=MAP).webhook
