"""A call out brings back what was answered, within its time and its bytes, and says what may be tried again."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from runtime.choices import ErrorCategory
from runtime.errors import classify
from runtime.exceptions import ReplyRefused
from runtime.outgoing import BadStatus, afetch, fetch, resolving
from tests.runtime.outgoing.echo import Echo, nobody

pytestmark = [pytest.mark.plain, pytest.mark.scenario("S10")]


def test_a_call_brings_back_status_headers_and_content(echo: Echo) -> None:
    reply = fetch("post", echo.url("/"), headers={"X-Own": "1"}, content=b"body")
    assert (reply.status, reply.content, reply.headers["content-length"]) == (200, b'{"method": "POST"}', "18")
    method, path, headers, body = echo.seen[0]
    assert (method, path, headers["x-own"], body) == ("POST", "/", "1", b"body")
    assert headers["host"] == f"127.0.0.1:{echo.port}"
    assert headers["accept-encoding"] == "identity"


def test_a_call_in_an_event_loop_is_awaited_and_never_stops_it(echo: Echo) -> None:
    async def both() -> int:
        with pytest.raises(RuntimeError, match="afetch"):
            fetch("GET", echo.url())
        return (await afetch("GET", echo.url())).status

    assert asyncio.run(both()) == 200


def test_the_proxies_of_the_environment_are_not_asked(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{nobody()}")
    assert fetch("GET", echo.url()).status == 200


def test_the_next_address_is_dialled_when_one_takes_no_connection(echo: Echo, names: Any, settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = ["127.0.0.0/8"]
    names["two.example"] = [["127.0.0.9", "127.0.0.1"]]
    assert fetch("GET", echo.url(host="two.example")).status == 200
    assert echo.seen[0][2]["host"] == f"two.example:{echo.port}"


def test_no_log_holds_more_of_a_url_than_its_server_while_the_products_own_clients_log_on(
    echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert fetch("GET", echo.url("/status/404?token=hidden")).status == 404
    assert "hidden" not in caplog.text
    httpx.get(echo.url("/status/404?token=hidden"), trust_env=False)
    assert f'HTTP Request: GET {echo.url("/status/404?token=hidden")} "HTTP/1.1 404 Not Found"' in caplog.messages


@pytest.mark.parametrize("page", ["/slow", "/drip"])
def test_a_call_ends_when_its_time_is_up_and_may_be_tried_again(echo: Echo, page: str) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no complete answer within 0\.3 s") as caught:
        fetch("GET", echo.url(page), timeout=0.3)
    assert time.monotonic() - started < 5
    assert classify(caught.value).category == ErrorCategory.TRANSIENT


def test_a_resolver_that_hangs_costs_no_more_than_the_time_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(resolving, "lookup", lambda host, port: [str(released.wait(30))])
    started = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            fetch("GET", "http://slow.example/", timeout=0.2)
        assert time.monotonic() - started < 5
    finally:
        released.set()


def test_a_body_is_read_to_its_cap_and_not_beyond(echo: Echo) -> None:
    assert len(fetch("GET", echo.url("/big/1000"), max_bytes=1000).content) == 1000
    with pytest.raises(ReplyRefused, match="more than 1000 bytes") as caught:
        fetch("GET", echo.url("/big/1001"), max_bytes=1000)
    assert not classify(caught.value).retryable


def test_a_small_body_that_unfolds_into_a_large_one_is_let_go_at_the_cap(echo: Echo) -> None:
    with pytest.raises(ReplyRefused, match="more than 100000 bytes"):
        fetch("GET", echo.url("/bomb"), max_bytes=100_000)


def test_a_compressed_body_is_read(echo: Echo) -> None:
    assert fetch("GET", echo.url("/packed/gzip")).content == b"hello"


@pytest.mark.parametrize("kind", ["torn", "no", "tail", "br"])
def test_a_body_that_cannot_be_decompressed_is_refused(echo: Echo, kind: str) -> None:
    with pytest.raises(ReplyRefused):
        fetch("GET", echo.url(f"/packed/{kind}"))


def test_a_port_where_nobody_listens_may_be_tried_again(echo: Echo) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        fetch("GET", f"http://127.0.0.1:{nobody()}/")
    assert (classify(caught.value).retryable, classify(caught.value).code) == (True, "connection")


def test_a_name_that_does_not_resolve_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(resolving, "lookup", fail)
    with pytest.raises(httpx.ConnectError, match="cannot be resolved") as caught:
        fetch("GET", "http://nowhere.example/")
    assert classify(caught.value).code == "connection"


@pytest.mark.parametrize(("status", "retryable"), [(503, True), (429, True), (404, False), (410, False)])
def test_a_bad_status_is_classified_with_what_the_reply_says(echo: Echo, status: int, retryable: bool) -> None:
    reply = fetch("GET", echo.url(f"/status/{status}"))
    with pytest.raises(BadStatus) as caught:
        reply.check()
    verdict = classify(caught.value)
    assert (verdict.retryable, verdict.code) == (retryable, f"http_{status}")
    assert verdict.retry_after == (7.0 if retryable else None)
