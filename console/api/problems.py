"""What a refused request is told: problem+json (RFC 9457), one shape for everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, JsonResponse
from ninja import Schema

MEDIA_TYPE = "application/problem+json"
SPACE = "urn:roost:problem:"
MOST_TOLD = 100
"""Mistakes in one request that are told one by one."""


class FieldError(Schema):
    """What is wrong with one field: where it stands (body.payload, query.limit), and why."""

    field: str
    message: str


class Problem(Schema):
    """Why a request was refused. `state` is the item's, where a conflict is about an item."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []
    state: str = ""


class Refusal(Exception):
    """Raised to answer with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})
        self.errors = list(errors)

    @property
    def response(self) -> HttpResponse:
        """The answer."""
        return problem(self.status, self.code, self.detail, headers=self.headers, errors=self.errors)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    state: str = "",
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return the answer. `code` is stable and meant for programs; `errors` name fields."""
    told: dict[str, Any] = {
        "type": f"{SPACE}{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        told["errors"] = list(errors)
    if state:
        told["state"] = state
    # A cache may keep a 404 and a 410 by itself, and tell it when it is no longer true.
    told_with = {"Cache-Control": "no-store", **(headers or {})}
    return JsonResponse(told, status=status, headers=told_with, content_type=MEDIA_TYPE)
