"""Callers of the API in tests, and how they call."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import encode_multipart
from django.utils.log import AdminEmailHandler

from runtime import tokens
from runtime.operations import token_use
from runtime.operations.tokens import create_token

ROOT = "/roost/api/v1"
ALL = sorted(tokens.PERMISSIONS)


class Api:
    """Somebody who calls with a token, or without one."""

    def __init__(self, token: str = "") -> None:
        self.client = Client(raise_request_exception=False)
        self.token = token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request, its body as JSON unless it is bytes; headers as `if_match="…"`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = sent.pop("content-type", "application/json")
        return self.client.generic(method, f"{ROOT}{path}", content, content_type=kind, headers=sent)

    def get(self, path: str, **headers: str) -> Any:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST."""
        return self.call("POST", path, body, **headers)

    def upload(self, item: object, content: bytes = b"content", name: str = "scan.pdf", **headers: str) -> Any:
        """Upload a file to an item."""
        form = encode_multipart("limit", {"file": SimpleUploadedFile(name, content, "text/html")})
        kind = "multipart/form-data; boundary=limit"
        return self.call("POST", f"/work-items/{item}/artifacts", form, content_type=kind, **headers)


Caller = Callable[..., Api]


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> None:
    """Have nobody counted or noted yet, and streams end at once."""
    settings.ROOST_API_STREAM_SECONDS = 0.0
    cache.clear()
    token_use.forget()


@pytest.fixture
def caller(db: None) -> Caller:
    """Make callers: `caller("read", "enqueue", namespaces=["ours"])`; without scopes they may do everything."""
    made: list[str] = []

    def make(*scopes: str, namespaces: tuple[str, ...] = ("*",)) -> Api:
        made.append(f"caller-{len(made)}")
        return Api(create_token(made[-1], scopes=scopes or ALL, namespaces=namespaces).text)

    return make


@pytest.fixture
def api(caller: Caller) -> Api:
    """Give a caller who may do everything everywhere."""
    return caller()


def problem(response: Any, status: int, code: str = "") -> dict[str, Any]:
    """Return the problem that an answer must be."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert told["status"] == status
    assert told["type"] == f"urn:roost:problem:{told['code']}"
    assert told["title"]
    assert told["detail"]
    if code:
        assert told["code"] == code
    return told


class _Reports(AdminEmailHandler):
    """Keeps the reports that would be mailed, as pages with every variable."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(include_html=True)
        self.kept = kept

    def send_mail(self, subject: str, message: str, *args: Any, **kwargs: Any) -> None:
        self.kept += [subject, message, kwargs["html_message"]]


@contextmanager
def reported() -> Iterator[list[str]]:
    """Give the reports that Django mails of what is logged meanwhile."""
    kept: list[str] = []
    handler, loggers = _Reports(kept), [logging.getLogger(name) for name in ("roost", "django")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield kept
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
