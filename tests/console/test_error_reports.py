"""An error report, as Django mails it, holds no secret of a webhook, of a target or of a call."""

from __future__ import annotations

import asyncio
import html
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from engines.webhook import engine as delivery_engine
from runtime import deliveries
from runtime.models import Webhook, WebhookTarget
from runtime.operations import receiving
from runtime.operations.delivering import Destination
from runtime.operations.targets import set_target
from runtime.operations.webhooks import rotate_secret, set_webhook
from runtime.outgoing import afetch, fetch
from tests.runtime.outgoing.echo import Echo, echoing

pytestmark = pytest.mark.scenario("S10")
# Put together here: a report shows lines of source too.
SECRET = "-".join(["a", "secret", "of", "some", "length"])
TOKEN = "-".join(["a", "bearer", "token"])


class Broken(Exception):
    """What a test lets happen."""


def fail(*given: Any, **options: Any) -> Any:
    raise Broken("on purpose")


def reported(call: Callable[[], Any]) -> str:
    """Return the report on what a call raises, without the frames of this file, whose variables hold the secrets."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        behind = error.__traceback__
        while behind is not None and behind.tb_frame.f_code.co_filename == __file__:
            behind = behind.tb_next
        reporter = ExceptionReporter(None, type(error), error, behind, is_email=True)
        return html.unescape(reporter.get_traceback_html() + reporter.get_traceback_text())
    raise AssertionError("nothing was raised")


class Mails(AdminEmailHandler):
    """Keeps what would be mailed to a site's administrators."""

    def __init__(self) -> None:
        super().__init__(include_html=True)
        self.kept: list[str] = []

    def send_mail(self, subject: Any, message: Any, *args: Any, **options: Any) -> None:
        """Keep the report."""
        self.kept.append(html.unescape(f"{message}{options['html_message']}"))


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """Collect the reports on requests that fail."""
    handler, logger = Mails(), logging.getLogger("django.request")
    logger.addHandler(handler)
    yield handler.kept
    logger.removeHandler(handler)


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["scheme_of", "refusal", "read_body", "enqueue"])
def test_a_webhook_that_fails_mails_no_secret(mails: list[str], monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    set_webhook("in", engine="counter", verifier="github", secret=SECRET, delivery_from="body")
    if place in ("read_body", "enqueue"):
        monkeypatch.setattr(receiving, "refusal", lambda *given: "")
    monkeypatch.setattr(receiving, place, fail)
    answer = Client(raise_request_exception=False).post(
        "/roost/hooks/default/in",
        data=f'{{"card": "{TOKEN}"}}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}", "X-Hub-Signature-256": "sha256=00"},
    )
    assert answer.status_code == 500
    [told] = mails
    assert "on purpose" in told
    assert "receiving.py" in told
    assert SECRET not in told
    assert TOKEN not in told


@pytest.mark.django_db
def test_what_is_posted_to_a_webhooks_page_is_not_mailed(
    mails: list[str], boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = set_webhook("in", engine="counter", verifier="github", secret=SECRET).webhook
    monkeypatch.setattr(Webhook, "compare_and_set", fail)
    boss.raise_request_exception = False
    posted = {"note": TOKEN, "shown_version": "1"}
    assert boss.post(reverse("admin:roost_webhook_change", args=[row.pk]), posted).status_code == 500
    [told] = mails
    assert "on purpose" in told
    assert SECRET not in told
    assert TOKEN not in told


@pytest.mark.django_db
def test_who_sets_a_secret_is_reported_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Any = {"engine": "counter", "verifier": "github", "secret": SECRET}
    set_webhook("there", **kept)
    target: Any = {"url": f"https://ops.example/{TOKEN}", "events": ["done"], "secret": SECRET}
    monkeypatch.setattr(QuerySet, "create", fail)
    for model in (Webhook, WebhookTarget):
        monkeypatch.setattr(model, "compare_and_set", fail)
    for told in (
        reported(lambda: set_webhook("in", **kept)),
        reported(lambda: set_webhook("a/b", **kept)),
        reported(lambda: set_target("ops", **target)),
        reported(lambda: set_target("ops", **{**target, "events": ["x"]})),
        reported(lambda: rotate_secret("there", secret=f"{SECRET}2")),
    ):
        assert SECRET not in told
        assert TOKEN not in told


@pytest.fixture
def echo(settings: Any) -> Iterator[Echo]:
    """Serve on loopback, which is allowed."""
    settings.ROOST_OUTGOING_ALLOW = ["127.0.0.1"]
    with echoing() as found:
        yield found


@pytest.mark.parametrize(
    "path", ["/slow/{}", "/drip/{}", "/big/2000?t={}", "/to/302/ftp://x/{}", "/to/302/http://10.0.0.1/{}", "/gone/{}"]
)
@pytest.mark.parametrize("sync", [True, False])
def test_a_call_out_that_fails_is_reported_without_its_url_and_headers(echo: Echo, path: str, sync: bool) -> None:
    def call() -> Any:
        url, headers = echo.url(path.format(TOKEN)), {"Authorization": f"Bearer {SECRET}"}
        if sync:
            return fetch("GET", url, headers=headers, timeout=0.5, max_bytes=1000)
        return asyncio.run(afetch("GET", url, headers=headers, timeout=0.5, max_bytes=1000))

    told = reported(call)
    assert "client.py" in told
    assert SECRET not in told
    assert TOKEN not in told


def test_a_delivery_that_fails_is_reported_without_the_secret_that_signs_it(
    echo: Echo, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = Destination(url=echo.url(f"/{TOKEN}"), secret=SECRET, now=0.0)
    monkeypatch.setattr(delivery_engine.delivering, "destination", lambda target: to)
    payload = {"target": 1, "event": "item.done", "body": "{}"}
    settings.ROOST_OUTGOING_ALLOW = []
    told = reported(lambda: asyncio.run(delivery_engine._attempt(uuid.uuid4(), payload)))
    assert "RefusedAddress" in told
    assert SECRET not in told
    assert TOKEN not in told


def test_a_receiver_that_refuses_a_delivery_reports_no_secret() -> None:
    told = reported(lambda: deliveries.receive({"authorization": TOKEN}, b"{}", SECRET, now=0.0))
    assert "DeliveryRefused" in told
    assert SECRET not in told
    assert TOKEN not in told
