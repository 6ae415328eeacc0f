"""ETag, If-Match, If-None-Match, Idempotency-Key: the item as the caller saw it, and the request that came before."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from console.api.problems import Refusal
from console.callers import caller_of
from runtime.models import WorkItem
from runtime.operations.once import Asked
from runtime.operations.once import once as do_once

T = TypeVar("T")

_TAG = re.compile(r'(?:W/)?"([0-9]{1,18})"\Z')
_KEY = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?\Z")


def etag(item: WorkItem) -> str:
    """Return the item's ETag: the number of its last write."""
    return f'"{item.row_version}"'


def expected(request: HttpRequest) -> int | None:
    """Return the row_version that If-Match names, None where it is not sent or says `*`. Raises `Refusal` (400)."""
    sent = request.headers.get("If-Match")
    if sent is None or sent.strip() == "*":
        return None
    found = _TAG.match(sent.strip())
    if found is None:
        raise Refusal(400, "bad_if_match", 'If-Match is none of our ETags: send one, such as "7".')
    return int(found[1])


def unchanged(request: HttpRequest, item: WorkItem) -> bool:
    """Say whether the caller has the item as it is, by If-None-Match."""
    sent = request.headers.get("If-None-Match", "")
    return etag(item) in [tag.strip().removeprefix("W/") for tag in sent.split(",")]


def key_of(request: HttpRequest) -> str | None:
    """Return the Idempotency-Key. Raises `Refusal` (422) for one that is empty, too long or not of ASCII."""
    sent = request.headers.get("Idempotency-Key")
    if sent is None:
        return None
    if not _KEY.match(sent.strip()):
        told = "Idempotency-Key must have 1 to 200 printable characters of ASCII."
        raise Refusal(422, "invalid", told, errors=[{"field": "header.Idempotency-Key", "message": told}])
    return sent.strip()


def tagged(response: HttpResponse, item: WorkItem) -> None:
    """Give an answer the item's ETag."""
    response.headers["ETag"] = etag(item)


def located(request: HttpRequest, response: HttpResponse, item: uuid.UUID) -> None:
    """Give an answer the address of the item."""
    response.headers["Location"] = reverse(f"{space_of(request)}getWorkItem", kwargs={"item_id": item})


def space_of(request: HttpRequest) -> str:
    """Return what the names of routes begin with where this API is mounted."""
    match = request.resolver_match
    return f"{match.namespace}:" if match is not None and match.namespace else ""


def asked_of(request: HttpRequest, *said: str) -> Asked | None:
    """Return what is asked under an Idempotency-Key, None without one. `said` stands for a body that is no JSON."""
    key = key_of(request)
    if key is None:
        return None
    body = said or (hashlib.sha256(request.body).hexdigest(),)
    what = "\n".join([str(request.method), request.get_full_path(), *body])
    return Asked(owner=caller_of(request).key, key=key, what=what)


def once(asked: Asked | None, work: Callable[[], tuple[T, Any]], again: Callable[[Any], T]) -> T:
    """Do `work`, once for each Idempotency-Key; see `runtime.operations.once`."""
    return work()[0] if asked is None else do_once(asked, work, again)
