"""A link opens one file to whoever has it, for a while, and nothing else to anybody."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.core.signing import Signer
from django.test import Client

from console import links
from console.callers import Caller as Known
from runtime import artifacts as content
from runtime import clock
from runtime.models import Artifact, Event
from runtime.operations.tokens import create_token, revoke_token, rotate_token
from tests.console.api.conftest import ROOT, Api, Caller, problem, reported
from tests.factories import ArtifactFactory, now

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]

BODY = b"<script>0123456789"
OWN_KEY = "k" * 40


@pytest.fixture
def file(db: None) -> Artifact:
    """Make a file that a browser must not show."""
    made: Artifact = ArtifactFactory(name="página.html", content=BODY, work_item__namespace="ours")
    return made


def asked(file: Artifact, query: str = "") -> str:
    return f"/work-items/{file.work_item_id}/artifacts/{file.pk}/link{query}"


def made(caller: Api, file: Artifact, query: str = "") -> str:
    """Have a link made, and return its address."""
    answer = caller.get(asked(file, query))
    assert answer.status_code == 200, answer.content
    url: str = answer.json()["url"]
    return url


def opened(url: str, **headers: str) -> Any:
    """Open an address as somebody who has nothing else."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: Any = Client(raise_request_exception=False).get(url, headers=sent)
    answer.body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer


def text_of(url: str) -> str:
    [text] = parse_qs(urlsplit(url).query)["link"]
    return text


def test_who_has_a_link_downloads_the_file_without_a_token_or_a_session(api: Api, file: Artifact) -> None:
    url = made(api, file)
    assert url.startswith(f"http://testserver{ROOT}/downloads?link=")
    answer = opened(url)
    assert (answer.status_code, answer.body) == (200, BODY)
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''p%C3%A1gina.html"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_a_part_and_what_is_there_already_are_as_in_any_download(api: Api, file: Artifact) -> None:
    url = made(api, file)
    part = opened(url, range="bytes=8-9")
    assert (part.status_code, part.body, part["Content-Range"]) == (206, b"01", "bytes 8-9/18")
    assert opened(url, if_none_match=part["ETag"]).status_code == 304
    problem(opened(url, range="bytes=18-"), 416, "range")


def test_it_carries_nothing_that_opens_anything_else(api: Api, file: Artifact) -> None:
    url = made(api, file)
    assert api.token not in url
    problem(opened(f"{ROOT}/work-items/{file.work_item_id}", authorization=f"Bearer {text_of(url)}"), 401)
    assert Client().post(url).status_code == 405


@pytest.mark.parametrize(("query", "seconds"), [("", 3600), ("?seconds=60", 60), ("?seconds=604800", 604_800)])
def test_it_ends_when_it_says(query: str, seconds: int, api: Api, file: Artifact) -> None:
    before = now()
    answer = api.get(asked(file, query)).json()
    ends = dt.datetime.fromisoformat(answer["expires_at"])
    assert before <= ends - dt.timedelta(seconds=seconds) <= now(1)
    with clock.shifted(ends - now(5)):
        assert opened(answer["url"]).status_code == 200
    with clock.shifted(ends - now()):
        problem(opened(answer["url"]), 410, "link_expired")


@pytest.mark.parametrize("seconds", ["0", "-1", "604801", "1e3", "x"])
def test_none_is_good_for_longer_than_links_may_be(seconds: str, api: Api, file: Artifact) -> None:
    told = problem(api.get(asked(file, f"?seconds={seconds}")), 422, "invalid")
    assert [error["field"] for error in told["errors"]] == ["query.seconds"]


def test_the_setting_bounds_those_that_say_nothing_too(api: Api, file: Artifact, settings: Any) -> None:
    settings.ROOST_API_LINK_SECONDS = 10
    problem(api.get(asked(file, "?seconds=11")), 422, "invalid")
    link = links.read(text_of(made(api, file)))
    other = links.read(text_of(made(api, file, "?seconds=10")))
    assert link is not None
    assert other is not None
    assert abs(link.until - other.until) <= 1


@pytest.mark.parametrize("place", range(5))
def test_no_word_of_it_can_be_changed(place: int, api: Api, file: Artifact) -> None:
    other = ArtifactFactory(work_item__namespace="theirs", content=b"theirs")
    text = text_of(made(api, file))
    said = links._signer().unsign_object(text)
    forged = [str(other.pk), "theirs", "inline", "user:1", said[4] + 9_999][place]
    assert said[place] != forged
    said[place] = forged
    signature = text.rpartition(".")[2]
    unsigned = links._signer().sign_object(said).rpartition(".")[0]
    problem(opened(f"{ROOT}/downloads?link={unsigned}.{signature}"), 404, "not_found")


@pytest.mark.parametrize(
    "text", ["x", ".", "..", "a.b", "é.é", "%00", "roost_12345678_" + "x" * 43, "x" * 3999 + ".", "💥"]
)
def test_what_was_signed_by_nobody_is_not_there(text: str, file: Artifact) -> None:
    answer = opened(f"{ROOT}/downloads?link={text}")
    problem(answer, 422 if text == "%00" else 404)


def test_what_was_signed_for_something_else_or_by_somebody_else_is_not_there(api: Api, file: Artifact) -> None:
    link = links.read(text_of(made(api, file)))
    assert link is not None
    said = [str(link.artifact), link.namespace, links.ATTACHMENT, link.maker, link.until]
    in_page = [said[0], said[1], "inline", *said[3:]]
    for text in (
        Signer(salt="roost.bulk", sep=".").sign_object(said),
        Signer(key="another product", salt=links.SALT, sep=".").sign_object(said),
        links._signer().sign_object(in_page),
    ):
        problem(opened(f"{ROOT}/downloads?link={text}"), 404, "not_found")
    assert opened(f"{ROOT}/downloads?link={links.signed(link)}").status_code == 200


def test_an_address_without_a_link_or_with_too_long_a_one_is_refused() -> None:
    problem(opened(f"{ROOT}/downloads"), 422, "invalid")
    problem(opened(f"{ROOT}/downloads?link={'x' * 4001}"), 422, "invalid")


def test_a_file_of_another_namespace_than_the_link_says_is_not_there(api: Api, file: Artifact) -> None:
    link = links.read(text_of(made(api, file)))
    assert link is not None
    elsewhere = links.Link(artifact=link.artifact, namespace="theirs", maker=link.maker, until=link.until)
    problem(opened(f"{ROOT}/downloads?link={links.signed(elsewhere)}"), 404, "not_found")


def test_a_file_that_was_removed_is_not_there(api: Api, file: Artifact) -> None:
    url = made(api, file)
    file.delete()
    problem(opened(url), 404, "not_found")


def test_only_who_may_read_the_file_makes_a_link(caller: Caller, file: Artifact) -> None:
    problem(caller("read").get(asked(file)), 403, "forbidden")
    problem(caller(namespaces=("theirs",)).get(asked(file)), 404, "not_found")
    problem(Api().get(asked(file)), 401)
    other = ArtifactFactory(work_item__namespace="ours")
    problem(caller().get(f"/work-items/{other.work_item_id}/artifacts/{file.pk}/link"), 404, "not_found")
    assert caller("payload", namespaces=("ours",)).get(asked(file)).status_code == 200


def test_a_link_ends_with_the_token_that_made_it(caller: Caller, file: Artifact) -> None:
    first, second = caller(), caller()
    urls = [made(one, file) for one in (first, second)]
    rotate_token("caller-0")
    assert [opened(url).status_code for url in urls] == [200, 200]
    revoke_token("caller-0")
    problem(opened(urls[0]), 404, "not_found")
    assert opened(urls[1]).status_code == 200


def test_a_link_ends_when_its_token_expires(file: Artifact) -> None:
    short = Api(create_token("short", scopes=["payload"], namespaces=["ours"], expires_at=now(60)).text)
    url = made(short, file)
    assert opened(url).status_code == 200
    with clock.shifted(dt.timedelta(seconds=60)):
        problem(opened(url), 404, "not_found")


def test_a_link_ends_when_its_users_right_does(file: Artifact) -> None:
    user = User.objects.create_user("ann", is_staff=True)
    right = Permission.objects.get(content_type__app_label="roost", codename="view_payload")
    user.user_permissions.set([right])
    browser = Client()
    browser.force_login(user)
    answer = browser.get(f"{ROOT}{asked(file)}")
    url = answer.json()["url"]
    assert opened(url).status_code == 200
    browser.logout()
    assert opened(url).status_code == 200
    user.user_permissions.clear()
    problem(opened(url), 404, "not_found")
    user.user_permissions.set([right])
    User.objects.filter(pk=user.pk).update(is_active=False)
    problem(opened(url), 404, "not_found")
    User.objects.all().delete()
    problem(opened(url), 404, "not_found")


def test_another_key_ends_all_that_there_are(api: Api, file: Artifact, settings: Any) -> None:
    with_django = made(api, file)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next one", [settings.SECRET_KEY]
    assert opened(with_django).status_code == 200, "Django's old keys are good until they are taken out"
    settings.ROOST_API_LINK_KEY = OWN_KEY
    problem(opened(with_django), 404, "not_found")
    with_own = made(api, file)
    assert opened(with_own).status_code == 200
    settings.ROOST_API_LINK_KEY = OWN_KEY.replace("k", "l")
    problem(opened(with_own), 404, "not_found")


def test_somebody_who_tries_is_not_let_at_the_database(
    api: Api, file: Artifact, django_assert_num_queries: Any, settings: Any
) -> None:
    url = made(api, file)
    with django_assert_num_queries(0):
        problem(opened(f"{url}x"), 404)
    settings.ROOST_API_REQUESTS_PER_MINUTE = 2
    assert [opened(url).status_code for _ in range(3)] == [200, 200, 429]
    assert api.get(f"/work-items/{file.work_item_id}").status_code == 200, "who made it is not counted with it"


def test_it_is_in_no_log_no_event_and_no_report(
    api: Api, file: Artifact, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Event.objects.count()
    with reported() as reports, caplog.at_level(logging.DEBUG):
        url = made(api, file)
        opened(url)
        opened(f"{url}x")
        monkeypatch.setattr(content, "open_content", lambda path: 1 / 0)
        problem(opened(url), 500, "internal")
    secret = text_of(url).rpartition(".")[2]
    assert re.search(rf"caller-0 made a link to artifact {file.pk} of item {file.work_item_id}", caplog.text)
    assert "ZeroDivisionError" in "".join(reports)
    assert secret not in "".join([caplog.text, *reports])
    assert Event.objects.count() == events


def test_who_is_unknown_is_no_caller() -> None:
    assert [Known.of_key(key) for key in ("token:0", "user:0")] == [None, None]


def test_it_opens_under_a_middleware_that_wants_everybody_signed_in(api: Api, file: Artifact, settings: Any) -> None:
    url = made(api, file)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert opened(url).status_code == 200
