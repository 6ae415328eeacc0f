"""Files are uploaded as forms, kept as those of steps are, and called what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory
from django.urls import resolve

from console.api import sniffing
from runtime.models import Artifact, Blob, Event
from tests.console.api.conftest import ROOT, Api, Caller, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
FORM = "multipart/form-data; boundary=limit"


def form(*parts: str) -> bytes:
    """Return a form of parts, each the head of one and its content."""
    text = "".join(f"--limit\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    return f"{text}--limit--\r\n".encode()


def part(name: str, content: str, filename: str = "") -> str:
    return f'name="{name}"' + (f'; filename="{filename}"' if filename else "") + f"\r\n\r\n{content}"


def send(api: Api, item: object, *parts: str) -> Any:
    return api.call("POST", f"/work-items/{item}/artifacts", form(*parts), content_type=FORM)


def test_a_file_is_uploaded_and_downloaded(api: Api) -> None:
    item = WorkItemFactory(version=2)
    made = api.upload(item.pk, b"%PDF-1.7 signed", "contract.pdf")
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["name"], told["content_type"]) == ("contract.pdf", "application/pdf")
    assert (told["version"], told["size"]) == (2, 15)
    assert made["Location"] == f"{ROOT}/work-items/{item.pk}/artifacts/{told['id']}/content"
    got = api.client.get(made["Location"], headers={"Authorization": f"Bearer {api.token}"})
    assert b"".join(got.streaming_content) == b"%PDF-1.7 signed"
    event = Event.objects.filter(work_item=item).latest("seq")
    assert (event.kind, event.actor) == ("uploaded", "token:caller-0")
    assert [one["id"] for one in api.get(f"/work-items/{item.pk}/artifacts").json()["artifacts"]] == [told["id"]]


def test_the_same_file_again_is_200_and_another_of_its_name_a_conflict(api: Api) -> None:
    item = WorkItemFactory()
    first, again = api.upload(item.pk), api.upload(item.pk)
    assert (again.status_code, again.json()) == (200, first.json())
    told = problem(api.upload(item.pk, b"other"), 409, "conflict")
    assert told["state"] == "queued"
    problem(api.upload(item.pk, b"x", "y.pdf", if_match='"99"'), 412, "stale_version")
    assert Artifact.objects.count() == 1


def test_a_file_may_be_named_and_said_to_be_of_a_kind(api: Api) -> None:
    item = WorkItemFactory()
    parts = [part("name", "build.log"), part("kind", "log"), part("file", "all is well", "x.bin")]
    told = send(api, item.pk, *parts).json()
    assert (told["name"], told["kind"], told["content_type"]) == ("build.log", "log", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([part("name", "x")], "body.file"),
        ([part("file", "x")], "body.file"),
        ([part("file", "x", "a"), part("file", "y", "b")], "body.file"),
        ([part("file", "x", "a"), part("more", "y", "b")], "body.more"),
        ([part("file", "x", "a"), part("color", "red")], "body.color"),
        ([part("file", "x", "a"), part("kind", "picture")], "body.kind"),
        ([part("file", "x", "a"), part("name", "a/b")], "body.name"),
        ([part("file", "x", "a"), part("name", "x" * 256)], "body.name"),
    ],
)
def test_what_is_wrong_with_a_form_is_told_at_its_field(parts: list[str], field: str, api: Api) -> None:
    told = problem(send(api, WorkItemFactory().pk, *parts), 422)
    assert any(error["field"].startswith(field) for error in told["errors"]), told
    assert not Blob.objects.exists()


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_what_is_no_form_is_refused(kind: str, api: Api) -> None:
    where = f"/work-items/{WorkItemFactory().pk}/artifacts"
    answer = api.call("POST", where, b"{}", content_type=kind)
    problem(answer, 415, "unsupported_media_type")
    assert answer["Accept"] == "multipart/form-data"


def test_a_form_whose_length_nobody_says_is_refused(api: Api) -> None:
    request = RequestFactory().post(
        f"{ROOT}/work-items/{WorkItemFactory().pk}/artifacts",
        form(part("file", "x", "a")),
        content_type=FORM,
        headers={"Authorization": f"Bearer {api.token}"},
    )
    del request.META["CONTENT_LENGTH"]
    view, args, kwargs = resolve(request.path_info)
    answer = view(request, *args, **kwargs)
    assert (answer.status_code, json.loads(answer.content)["code"]) == (411, "length_required")


def test_a_form_that_cannot_be_read_is_a_bad_request(api: Api) -> None:
    where = f"/work-items/{WorkItemFactory().pk}/artifacts"
    problem(api.call("POST", where, b"x", content_type="multipart/form-data"), 400, "bad_request")
    problem(api.call("POST", where, form(), content_type=FORM + "; charset=nonsense"), 422)


def test_a_form_with_too_many_fields_is_too_large(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1
    item = WorkItemFactory()
    problem(send(api, item.pk, part("name", "x"), part("kind", "log"), part("file", "x", "a")), 413, "too_large")


def test_a_file_that_is_too_large_or_one_too_many_is_refused(api: Api, settings: Any) -> None:
    item = WorkItemFactory()
    settings.ROOST_API_MAX_UPLOAD_BYTES = 100
    problem(api.upload(item.pk, b"x" * 101), 413, "too_large")
    problem(api.upload(item.pk, b"x" * 100_000), 413, "too_large")
    assert not Blob.objects.exists()
    settings.ROOST_MAX_ITEM_ARTIFACT_BYTES = 150
    assert api.upload(item.pk, b"x" * 100).status_code == 201
    told = problem(api.upload(item.pk, b"y" * 51, "more"), 413, "too_large")
    assert "ROOST_MAX_ITEM_ARTIFACT_BYTES" in told["detail"]
    settings.ROOST_API_MAX_BODY_BYTES = 1  # is about JSON
    assert api.upload(item.pk, b"y" * 50, "more").status_code == 201


def test_who_may_not_upload_is_told_so(caller: Caller) -> None:
    item = WorkItemFactory()
    problem(caller("read", "operate").upload(item.pk), 403, "forbidden")
    made = caller("upload").upload(item.pk)
    assert (made.status_code, made.json()["metadata"]) == (201, None)


def test_a_storage_that_is_away_is_a_problem_to_come_again_with(api: Api, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": "tests.runtime.places.DownStorage"}}
    answer = api.upload(WorkItemFactory().pk)
    problem(answer, 503, "storage_unavailable")
    assert answer["Retry-After"]


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "a.html", "image/png"),
        (b"RIFF....WEBPVP8 ", "a", "image/webp"),
        (b"PK\x03\x04....", "a.docx", "application/zip"),
        (b"\0" * 257 + b"ustar", "a.tar", "application/x-tar"),
        (b"<html><script>alert(1)</script>", "a.html", "text/plain; charset=utf-8"),
        (b"<svg onload=alert(1)>", "a.svg", "text/plain; charset=utf-8"),
        (b"alert(1)", "a.js", "text/plain; charset=utf-8"),
        (b"a,b\n1,2\n", "a.csv", "text/csv; charset=utf-8"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"not json", "a.json", "text/plain; charset=utf-8"),
        ("ü".encode() * 3000, "a.txt", "text/plain; charset=utf-8"),
        (b"x" + "ü".encode() * 3000, "a.txt", "text/plain; charset=utf-8"),
        (b"cut \xc3", "a.txt", "application/octet-stream"),
        (b"\xff\xfe", "a.txt", "application/octet-stream"),
        (b"nul \0", "a.txt", "application/octet-stream"),
        (b"", "a.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, name: str, kind: str) -> None:
    assert sniffing.content_type(content, name) == kind
