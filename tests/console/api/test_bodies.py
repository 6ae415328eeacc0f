"""Of whom nobody knows, next to nothing is read; of who is known, as much as may come, and few files at once."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError
from django.test import RequestFactory
from django.urls import resolve

from console.api import guard
from console.api.heavy import uploads
from runtime.models import Artifact, WorkItem
from tests.console.api.conftest import ROOT, Api, Caller, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]

LARGE = b'{"engine": "counter", "payload": {"count_to": 3}}' + b" " * 2 * guard.UNKNOWN_BYTES
FORM = "multipart/form-data; boundary=limit"
FILE = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + LARGE + b"\r\n--limit--\r\n"


class Counting:
    """A stream that knows how much of it was read."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.count = stream, 0

    def read(self, *args: Any) -> bytes:
        """Read on."""
        return self._counted(self.stream.read(*args))

    def readline(self, *args: Any) -> bytes:
        """Read a line."""
        return self._counted(self.stream.readline(*args))

    def _counted(self, found: bytes) -> bytes:
        self.count += len(found)
        return found


def ask(path: str, body: bytes, kind: str, *, user: Any = None, **headers: str) -> tuple[Any, int]:
    """POST a body; return the answer and how much of the body was read."""
    request = RequestFactory().post(f"{ROOT}{path}", body, content_type=kind, headers=headers)
    request.user = user or AnonymousUser()
    counted = request._stream = Counting(request._stream)  # type: ignore[attr-defined]
    view, args, kwargs = resolve(request.path_info)
    answer = view(request, *args, **kwargs)
    answer.json = lambda: json.loads(answer.content)
    return answer, counted.count


def upload(body: bytes = FILE, **more: Any) -> tuple[Any, int]:
    """Upload a file to an item."""
    return ask(f"/work-items/{WorkItemFactory().pk}/artifacts", body, FORM, **more)


STRANGERS = {
    "nobody": {},
    "a token that is none": {"Authorization": "Bearer roost_" + "x" * 43},
    "another scheme": {"Authorization": "Basic eDp5"},
}


@pytest.mark.parametrize("who", sorted(STRANGERS))
def test_of_a_strangers_body_no_more_is_read_than_may_be(who: str) -> None:
    answer, count = ask("/work-items", LARGE, "application/json", **STRANGERS[who])
    problem(answer, 401, "unauthenticated")
    assert "WWW-Authenticate" in answer.headers
    assert count <= guard.UNKNOWN_BYTES + 1


@pytest.mark.parametrize("who", sorted(STRANGERS))
def test_of_a_strangers_file_nothing_is_read(who: str) -> None:
    answer, count = upload(**STRANGERS[who])
    problem(answer, 401, "unauthenticated")
    assert count == 0


def test_a_session_of_somebody_who_may_no_longer_sign_in_is_a_strangers() -> None:
    gone = User(username="gone", is_active=False)
    assert upload(user=gone)[1] == 0
    _answer, count = upload(user=User.objects.create(username="here", is_superuser=True))
    assert count == len(FILE)


def test_of_who_may_not_upload_nothing_is_read_and_no_place_is_taken(caller: Caller) -> None:
    known: dict[str, Any] = {"Authorization": f"Bearer {caller('read', 'operate').token}"}
    with ExitStack() as others:
        take_all(others)
        for who in (known, {"user": User.objects.create(username="here")}):
            answer, count = upload(**who)
            problem(answer, 403, "forbidden")
            assert count == 0


def test_large_bodies_of_who_is_known_are_read_whole(api: Api) -> None:
    assert api.call("POST", "/work-items", LARGE).status_code == 201
    assert WorkItem.objects.get().engine == "counter"
    assert api.upload(WorkItemFactory().pk, LARGE).status_code == 201


def test_who_is_known_is_counted_once(api: Api, settings: Any) -> None:
    settings.ROOST_API_REQUESTS_PER_MINUTE = 2
    item = WorkItemFactory()
    assert [api.upload(item.pk, name=f"{number}.pdf").status_code for number in range(3)] == [201, 201, 429]


def take_all(others: ExitStack) -> None:
    """Take all the places for files."""
    while True:
        try:
            others.enter_context(uploads())
        except guard.Refusal:
            return


def test_only_so_many_files_are_taken_at_once(caller: Caller) -> None:
    api, item = caller("upload"), WorkItemFactory()
    with ExitStack() as others:
        take_all(others)
        answer = api.upload(item.pk)
        problem(answer, 503, "busy")
        assert int(answer["Retry-After"]) > 0
        problem(Api().upload(item.pk), 401)
    assert not Artifact.objects.exists()
    # A refusal, too, gives its place back.
    where = f"/work-items/{item.pk}/artifacts"
    assert {api.call("POST", where, b"--limit--", content_type=FORM).status_code for _ in range(10)} == {422}
    assert api.upload(item.pk).status_code == 201


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(OperationalError("away"), 503, "unavailable"), (ConnectionError("the cache is away"), 500, "internal")],
)
def test_what_does_not_say_whose_it_is_is_told_of(
    error: Exception, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Any) -> bool:
        raise error

    monkeypatch.setattr(guard, "recognised", fail)
    problem(upload()[0], status, code)
    problem(ask("/work-items", LARGE, "application/json")[0], status, code)
