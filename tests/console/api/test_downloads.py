"""Files are handed out as attachments, whole or in part, to those who may read what is in them."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, RequestFactory
from django.test.utils import CaptureQueriesContext

from console import attachments
from console.attachments import attached
from runtime import artifacts as content
from runtime.models import Artifact
from tests.console.api.conftest import ROOT, Api, Caller, problem
from tests.factories import ArtifactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


@pytest.fixture
def file(db: None) -> Artifact:
    """Make a file that a browser must not show."""
    made: Artifact = ArtifactFactory(name="página.html", content=b"<script>0123456789")
    return made


def test_no_cache_keeps_a_file(file: Artifact) -> None:
    """Also where a product mounts the routes in an API of its own, without what stands before Roost's."""
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": f'"{file.sha256}"'}):
        answer = attached(RequestFactory().get("/", headers=headers), file, file.blob.path)
        assert answer["Cache-Control"] == "no-store"
        answer.close()


def address(file: Artifact) -> str:
    return f"/work-items/{file.work_item_id}/artifacts/{file.pk}/content"


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_file_is_an_attachment_whatever_it_is(api: Api, file: Artifact) -> None:
    answer = api.get(address(file))
    assert (answer.status_code, body(answer)) == (200, b"<script>0123456789")
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''p%C3%A1gina.html"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Content-Length"] == "18"
    assert api.get(address(file), if_none_match=answer["ETag"]).status_code == 304


async def _read_asynchronously(token: str, url: str) -> tuple[int, bytes]:
    client = AsyncClient()
    answer: Any = await client.get(url, headers={"Authorization": f"Bearer {token}"})
    read = b"".join([piece async for piece in answer.streaming_content])
    return answer.status_code, read


@pytest.mark.django_db(transaction=True)
def test_an_asynchronous_server_gets_it_piece_by_piece(
    api: Api, file: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "CHUNK_BYTES", 5)
    got = async_to_sync(_read_asynchronously)(api.token, f"{ROOT}{address(file)}")
    assert got == (200, b"<script>0123456789")


@pytest.mark.parametrize(
    ("asked", "part", "told"),
    [
        ("bytes=8-9", b"01", "bytes 8-9/18"),
        ("bytes=16-", b"89", "bytes 16-17/18"),
        ("bytes=-3", b"789", "bytes 15-17/18"),
        ("bytes=16-999", b"89", "bytes 16-17/18"),
    ],
)
def test_a_part_is_handed_out(asked: str, part: bytes, told: str, api: Api, file: Artifact) -> None:
    answer = api.get(address(file), range=asked)
    assert (answer.status_code, body(answer), answer["Content-Range"]) == (206, part, told)


@pytest.mark.parametrize("asked", ["bytes=18-", "bytes=5-4", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(asked: str, api: Api, file: Artifact) -> None:
    answer = api.get(address(file), range=asked)
    problem(answer, 416, "range")
    assert answer["Content-Range"] == "bytes */18"


@pytest.mark.parametrize(
    "headers", [{"range": "bytes=0-1,4-5"}, {"range": "x"}, {"range": "bytes=0-1", "if_range": "x"}]
)
def test_what_is_no_part_is_the_whole(headers: dict[str, str], api: Api, file: Artifact) -> None:
    answer = api.get(address(file), **headers)
    assert (answer.status_code, len(body(answer))) == (200, 18)


def test_no_connection_is_kept_for_as_long_as_a_file_takes(
    api: Api, file: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(attachments, "give_back_connection", lambda: given.append(len(asked)))
    by_link = api.get(address(file).replace("content", "link")).json()["url"].removeprefix(f"http://testserver{ROOT}")
    for where in (address(file), by_link):
        with CaptureQueriesContext(connection) as asked:
            answer = api.get(where)
            assert (answer.status_code, body(answer)) == (200, b"<script>0123456789")
        # Nothing is asked of the database after that.
        assert given.pop() == len(asked)
    assert given == []


def test_a_file_of_another_item_and_one_without_the_permission_are_not_handed_out(
    api: Api, caller: Caller, file: Artifact
) -> None:
    other = ArtifactFactory()
    problem(api.get(f"/work-items/{other.work_item_id}/artifacts/{file.pk}/content"), 404)
    problem(caller("read").get(address(file)), 403)
