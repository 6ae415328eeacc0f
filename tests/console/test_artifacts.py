"""What the admin shows of a file, and hands out: never a page of this site, and only to those who may read it."""

from __future__ import annotations

import json
import re
import struct
import zlib
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from console import attachments, links, previews
from console.admin import folded
from console.raster import Raster, sniff
from runtime import artifacts as content
from runtime.models import Artifact
from tests.console.conftest import Page
from tests.console.test_redaction import HOLDS, SECRET
from tests.factories import ArtifactFactory, now

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script><img src=x onerror=alert(1)>"


def png(width: int = 3, height: int = 2) -> bytes:
    """Return a picture of so many pixels; its data is only as long as a sniffer looks."""
    head = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(head))


def url(file: Artifact, page: str = "change") -> str:
    return reverse(f"admin:roost_artifact_{page}", args=[file.pk])


def preview_of(client: Client, file: Artifact) -> Page:
    """Return the part of the file's page that shows what is in it."""
    answer = client.get(url(file))
    assert answer.status_code == 200
    assert Page(answer).refused == []
    _before, part = answer.content.decode().split('aria-labelledby="roost-preview">')
    return Page(HttpResponse(part.split("</section>")[0]))


def shown(client: Client, **values: Any) -> Page:
    """Return what is shown of a file that is made of these values."""
    return preview_of(client, ArtifactFactory(**values))


def test_a_text_is_shown_as_text(boss: Client) -> None:
    page = shown(boss, content="line one\n<b>näh</b>".encode(), name="log.txt")
    assert "line one\n<b>näh</b>" in page.text
    assert "Download · 20 B" in page.text
    assert "b" not in page.tags


@pytest.mark.scenario("B18")
@pytest.mark.parametrize(("name", "body"), [("a.svg", SVG), ("a.html", HTML), ("a.png", SVG), ("a.png", HTML)])
def test_what_can_run_is_shown_as_its_source_whatever_it_calls_itself(name: str, body: bytes, boss: Client) -> None:
    file = ArtifactFactory(name=name, content=body)
    page = preview_of(boss, file)
    assert not {"svg", "img", "script"} & {*page.tags}
    assert body.decode() in page.text
    assert boss.get(url(file, "picture")).status_code == 404


def test_a_long_text_is_cut_between_two_characters(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "TEXT_BYTES", 4)
    page = shown(boss, content="abcäxyz".encode())
    assert "abc" in page.words
    assert "This is the beginning; 5 B more are left out." in page.text


@pytest.mark.parametrize("body", [b"\x00\x01\x02", b"\xff\xfe\xfd plain", b"abc\xc3"])
def test_what_is_no_text_is_only_downloaded(body: bytes, boss: Client) -> None:
    page = shown(boss, content=body)
    assert "It is neither text nor a picture that is shown" in page.text
    assert "pre" not in page.tags


def test_an_empty_file_is_called_empty(boss: Client) -> None:
    assert "The file is empty." in shown(boss, content=b"").text


def test_json_is_a_tree_that_opens_and_closes(boss: Client) -> None:
    value = {"short": [1, 2], "long": [{"text": "x" * 90, "place": place} for place in range(3)]}
    page = shown(boss, content=json.dumps(value).encode(), name="r.json", kind="json")
    assert page.tags.count("details") == page.tags.count("summary") == 5
    assert "object of 2 values" in page.text
    assert "list of 3 values" in page.text
    assert "[1, 2]" in page.text


def test_a_tree_ends_somewhere(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "MOST_NODES", 9)
    page = shown(boss, content=json.dumps([{"number": n, "text": "x" * 20} for n in range(40)]).encode())
    assert '{"number": 7, "text": "xxxxxxxxxxxxxxxxxxxx"}' in page.words
    assert '{"number": 8, "text": "xxxxxxxxxxxxxxxxxxxx"}' not in page.words
    assert "There is more: download the file to read it all." in page.text


@pytest.mark.parametrize(("page", "body"), [("download", b"text"), ("picture", png())])
def test_no_connection_is_kept_for_as_long_as_a_file_takes(
    page: str, body: bytes, boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(attachments, "give_back_connection", lambda: given.append(True))
    answer: Any = boss.get(url(ArtifactFactory(content=body), page))
    assert b"".join(answer.streaming_content) == body
    assert given == [True]


@pytest.mark.parametrize("depth", [60, 800, 100_000])
def test_json_that_is_nested_deeply_breaks_nothing(depth: int, boss: Client) -> None:
    page = shown(boss, content=b"[" * depth + b"1" * 150 + b"]" * depth)
    assert page.tags.count("details") <= 60


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(HOLDS).encode(),
        b"\n".join(json.dumps(one).encode() for one in (HOLDS, HOLDS)),
        json.dumps(HOLDS["note"]).encode(),
        f"herring\nAuthorization: Bearer {SECRET}\n".encode(),
    ],
    ids=["json", "lines", "value", "text"],
)
def test_secrets_in_a_file_are_masked(body: bytes, boss: Client, settings: Any) -> None:
    settings.ROOST_REDACT = "tests.console.test_redaction.shout"
    text = shown(boss, content=body).text
    assert SECRET not in text
    assert "[redacted]" in text
    assert "herring" not in text


def test_json_that_is_too_large_to_be_masked_is_not_shown_as_text(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "JSON_BYTES", 100)
    monkeypatch.setattr(previews, "TEXT_BYTES", 50)
    hidden = [json.dumps({"api_key": SECRET * 9, "plain": 1}), json.dumps({"plain": list(range(50))})]
    for body in hidden:
        assert "too large to be shown" in shown(boss, content=body.encode()).text
    assert "[10:00] begun" in shown(boss, content=b"[10:00] begun\n" * 20).text


def test_lines_of_json_are_shown_up_to_where_they_are_cut(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "JSON_BYTES", 60)
    monkeypatch.setattr(previews, "TEXT_BYTES", 50)
    text = shown(boss, content=b'{"api_key": "swordfish"}\n' * 5).text
    assert "[redacted]" in text
    assert SECRET not in text
    assert "more are left out" in text


def test_a_picture_is_shown_as_what_its_bytes_are(boss: Client) -> None:
    file = ArtifactFactory(name="chart.html", content=png(), content_type="text/html")
    page = boss.get(url(file))
    assert f'<img class="roost-shown" src="{url(file, "picture")}" width="3" height="2"' in page.content.decode()
    answer = boss.get(url(file, "picture"))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Content-Disposition"].startswith("attachment")
    assert b"".join(answer.streaming_content) == png()


def test_a_picture_that_would_fill_a_browser_is_only_downloaded(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = ArtifactFactory(content=png(60_000, 60_000))
    assert "60000 x 60000 pixels" in Page(boss.get(url(bomb))).text
    monkeypatch.setattr(previews, "PICTURE_BYTES", 10)
    large = ArtifactFactory(content=png())
    for file in (bomb, large):
        assert "img" not in preview_of(boss, file).tags
        assert boss.get(url(file, "picture")).status_code == 404


def test_a_file_is_downloaded_as_an_attachment_and_in_parts(boss: Client) -> None:
    file = ArtifactFactory(name="página.html", content=HTML)
    answer = boss.get(url(file, "download"))
    assert b"".join(answer.streaming_content) == HTML
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''p%C3%A1gina.html"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    part = boss.get(url(file, "download"), headers={"Range": "bytes=0-4"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, HTML[:5])
    assert boss.get(url(file, "download"), headers={"Range": "bytes=999-"}).status_code == 416
    assert boss.get(url(file, "download"), headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert boss.post(url(file, "download")).status_code == 405


def address_in(answer: Any) -> str:
    """Return the link that a page shows."""
    [found] = re.findall(r'roost-address" tabindex="0">(.*?)</code>', answer.content.decode())
    return unescape(found)


def test_a_person_makes_a_link_for_others(boss: Client) -> None:
    file = ArtifactFactory(name="<b>.html", content=HTML)
    assert f'href="{url(file, "link")}"' in boss.get(url(file)).content.decode()
    answer = boss.get(url(file, "link"))
    assert Page(answer).refused == []
    assert "no-store" in answer["Cache-Control"]
    assert "Whoever has this address downloads <b>.html (68 B), without a login" in Page(answer).text
    stranger = Client().get(address_in(answer))
    assert b"".join(stranger.streaming_content) == HTML
    assert stranger["Content-Disposition"] == 'attachment; filename="<b>.html"'
    boss.logout()
    assert b"".join(Client().get(address_in(answer)).streaming_content) == HTML


def test_a_person_chooses_for_how_long_among_what_links_may_be_good_for(boss: Client, settings: Any) -> None:
    file, week = ArtifactFactory(), 7 * 24 * 3600
    assert f'<a href="?seconds={week}">a week</a>' in boss.get(url(file, "link")).content.decode()
    link = links.read(parse_qs(urlsplit(address_in(boss.get(f"{url(file, 'link')}?seconds={week}"))).query)["link"][0])
    assert link is not None
    assert link.until - now().timestamp() > week - 60
    settings.ROOST_API_LINK_SECONDS = 7200
    assert "?seconds=" not in boss.get(url(file, "link")).content.decode()
    for wrong in (week, "0", "x", "9" * 20):
        answer = boss.get(f"{url(file, 'link')}?seconds={wrong}", follow=True)
        assert answer.redirect_chain == [(url(file), 302)]
        assert "A link is good for 1 to 7200 seconds" in Page(answer).text


def test_a_product_without_these_addresses_is_offered_no_link(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "SPACE", "elsewhere:")
    file = ArtifactFactory()
    assert url(file, "link") not in boss.get(url(file)).content.decode()
    assert boss.get(url(file, "link")).status_code == 404


def test_a_file_whose_bytes_are_gone_is_said_to_be(boss: Client) -> None:
    file = ArtifactFactory(content=b"gone soon")
    content.delete(file.blob.path)
    assert "damaged or gone" in Page(boss.get(url(file))).text
    answer = boss.get(url(file, "download"), follow=True)
    assert answer.redirect_chain == [(url(file), 302)]
    assert "does not give the file" in Page(answer).text


def test_a_json_file_that_was_changed_is_not_shown(boss: Client) -> None:
    file = ArtifactFactory(content=b'{"a": 1}')
    content.delete(file.blob.path)
    content.storage().save(file.blob.path, content.ContentFile(b'{"a": 2}'))
    assert "damaged or gone" in Page(boss.get(url(file))).text


def test_the_list_offers_the_download_to_readers_alone(staff: Any, log_in: Any, boss: Client) -> None:
    file = ArtifactFactory()
    listing = reverse("admin:roost_artifact_changelist")
    assert url(file, "download") in boss.get(listing).content.decode()
    viewer = log_in(staff("view_artifact"))
    for address in (listing, url(file)):
        assert url(file, "download") not in viewer.get(address).content.decode()


JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x11\x08\x00\x05\x00\x07"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (png(7, 5), ("image/png", 7, 5)),
        (JPEG, ("image/jpeg", 7, 5)),
        (b"GIF89a\x07\x00\x05\x00", ("image/gif", 7, 5)),
        (b"RIFF....WEBPVP8 ....\0\0\0\x9d\x01\x2a\x07\x00\x05\x00", ("image/webp", 7, 5)),
        (b"RIFF....WEBPVP8L....\x2f" + struct.pack("<I", 6 | 4 << 14), ("image/webp", 7, 5)),
        (b"RIFF....WEBPVP8X........\x06\0\0\x04\0\0", ("image/webp", 7, 5)),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(head: bytes, found: tuple[str, int, int]) -> None:
    kind, width, height = found
    assert sniff(head + b"more") == Raster(content_type=kind, width=width, height=height)
    assert all(sniff(head[:length]) is None for length in range(min(len(head), 24)))


@pytest.mark.parametrize("head", [SVG, HTML, b"", b"BM" + bytes(60), b"\xff\xd8\xffno frame", png(0, 1)])
def test_anything_else_is_no_picture(head: bytes) -> None:
    assert sniff(head) is None
