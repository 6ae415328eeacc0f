"""Clients of the API in this process, and of one that is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from runtime import tokens
from runtime.client import Client, Retries
from runtime.operations import token_use
from runtime.operations.tokens import create_token

ROOT = "/roost/api/v1"
HERE = f"http://testserver{ROOT}"
ONCE = Retries(times=0)


@pytest.fixture
def token(db: None, settings: Any) -> str:
    """Give a token that may do everything everywhere, with nobody counted or noted yet."""
    settings.ROOST_API_STREAM_SECONDS = 0.0
    cache.clear()
    token_use.forget()
    return create_token("shop", scopes=sorted(tokens.PERMISSIONS), namespaces=["*"]).text


@pytest.fixture
def roost(token: str) -> Iterator[Client]:
    """Give a client of the API, which answers in this thread and within the test's transaction."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    with Client(HERE, token, retries=ONCE, transport=httpx.WSGITransport(app=WSGIHandler())) as client:
        yield client
    for signal in ends:
        signal.connect(close_old_connections)
