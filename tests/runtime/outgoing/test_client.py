"""A call out reaches what was judged and nothing else, within its time and its bytes."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.choices import ErrorCategory
from runtime.errors import classify
from runtime.exceptions import RefusedAddress, ReplyRefused
from runtime.outgoing import BadStatus, afetch, client, fetch, resolving
from tests.runtime.outgoing.echo import Echo, echoing

pytestmark = [pytest.mark.once, pytest.mark.scenario("S10")]
METADATA = "169.254.169.254"


@pytest.fixture
def echo(settings: Any) -> Iterator[Echo]:
    """Serve on loopback, which is allowed."""
    settings.ROOST_OUTGOING_ALLOW = ["127.0.0.1"]
    with echoing() as found:
        yield found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Answer lookups of these names in turn, the last answer for ever; real lookups of all others."""
    given: dict[str, list[list[str]]] = {}
    real = resolving.lookup

    def lookup(host: str, port: int) -> list[str]:
        answers = given.get(host)
        if answers is None:
            return real(host, port)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(resolving, "lookup", lookup)
    return given


def nobody() -> str:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


# What is called ------------------------------------------------------------------------------------------------------


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


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        METADATA,
        "[fd00:ec2::254]",
    ],
)
def test_the_own_network_is_refused_however_it_is_written(host: str, settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = []
    with echoing() as echo:
        with pytest.raises(RefusedAddress):
            fetch("GET", echo.url(host=host), timeout=5)
        assert echo.seen == []


def test_a_refused_address_is_a_permanent_failure_that_says_what_to_do(settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = []
    with pytest.raises(RefusedAddress, match="name the host or its network in ROOST_OUTGOING_ALLOW") as caught:
        fetch("GET", f"http://{METADATA}/latest/token-in-path")
    verdict = classify(caught.value)
    assert (verdict.retryable, verdict.code, verdict.category) == (False, "refused_address", "permission")
    assert "token-in-path" not in str(caught.value)


def test_a_name_that_turns_private_after_it_was_judged_is_dialled_where_it_was_judged(echo: Echo, names: Any) -> None:
    # The classic rebinding: whoever resolves a second time gets another answer.
    names["rebind.example"] = [["127.0.0.1"], ["127.0.0.7"]]
    assert fetch("GET", echo.url(host="rebind.example")).status == 200
    with pytest.raises(RefusedAddress, match=r"127\.0\.0\.7"):
        fetch("GET", echo.url(host="rebind.example"))
    assert len(echo.seen) == 1


def test_one_private_address_among_public_ones_refuses_the_name(echo: Echo, names: Any) -> None:
    names["mixed.example"] = [["127.0.0.1", METADATA]]
    with pytest.raises(RefusedAddress, match=METADATA):
        fetch("GET", echo.url(host="mixed.example"))
    assert echo.seen == []


@pytest.mark.parametrize("port", [22, 6379, 8080])
def test_a_port_that_is_not_for_the_web_is_refused_on_the_public_internet(port: int, names: Any) -> None:
    names["public.example"] = [["8.8.8.8"]]
    with pytest.raises(RefusedAddress, match="ROOST_OUTGOING_PORTS"):
        fetch("GET", f"http://public.example:{port}/")


def test_a_host_that_is_allowed_by_name_may_be_private(echo: Echo, settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = ["LocalHost"]
    assert fetch("GET", echo.url(host="localhost")).status == 200
    with pytest.raises(RefusedAddress):
        fetch("GET", echo.url())


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "gopher://x/", "http://a:b@example.com/", "http:///", "x", ""]
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(RefusedAddress):
        fetch("GET", url)


# What is told of a call -----------------------------------------------------------------------------------------------


def test_no_log_holds_more_of_a_url_than_its_server_while_the_products_own_clients_log_on(
    echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert fetch("GET", echo.url("/status/404?token=hidden")).status == 404
    assert "hidden" not in caplog.text
    httpx.get(echo.url("/status/404?token=hidden"), trust_env=False)
    assert f'HTTP Request: GET {echo.url("/status/404?token=hidden")} "HTTP/1.1 404 Not Found"' in caplog.messages


# Redirects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [f"http://{METADATA}/latest/meta-data/", "http://[::1]/", "http://10.0.0.1/"])
def test_a_redirect_to_the_own_network_is_refused(echo: Echo, target: str) -> None:
    with pytest.raises(RefusedAddress):
        fetch("GET", echo.url(f"/to/302/{target}"))
    assert len(echo.seen) == 1


def test_a_redirect_to_another_scheme_is_refused(echo: Echo) -> None:
    with pytest.raises(RefusedAddress, match="scheme"):
        fetch("GET", echo.url("/to/302/file:///etc/passwd"))


def test_redirects_are_followed_to_the_last_allowed_one(echo: Echo) -> None:
    two = "/to/302/" + echo.url("/to/302/" + echo.url("/"))
    assert fetch("GET", echo.url(two), redirects=2).status == 200
    with pytest.raises(RefusedAddress, match="more than 1 times"):
        fetch("GET", echo.url(two), redirects=1)
    assert fetch("GET", echo.url(two), redirects=0).status == 302


def test_secrets_stay_behind_when_a_redirect_leads_to_somebody_else(echo: Echo) -> None:
    secrets = {"Authorization": "Bearer s", "X-Roost-Signature": "v1=s", "Cookie": "a=b", "X-Api-Key": "s"}
    with echoing() as other:
        fetch("GET", echo.url(f"/to/302/{other.url('/')}"), headers={**secrets, "Accept-Language": "de"})
        sent, forwarded = echo.seen[0][2], other.seen[0][2]
    for name in secrets:
        assert name.lower() in sent
        assert name.lower() not in forwarded
    assert forwarded["accept-language"] == "de"


def test_secrets_go_along_when_a_redirect_stays_where_it_was(echo: Echo) -> None:
    fetch("GET", echo.url("/to/307//"), headers={"Authorization": "Bearer s"})
    assert [headers["authorization"] for _, _, headers, _ in echo.seen] == ["Bearer s", "Bearer s"]


def test_a_body_is_sent_on_by_307_to_the_same_server_only(echo: Echo) -> None:
    fetch("POST", echo.url("/to/307//"), content=b"body")
    assert [(method, body) for method, _, _, body in echo.seen] == [("POST", b"body"), ("POST", b"body")]
    with echoing() as other:
        with pytest.raises(RefusedAddress, match="body"):
            fetch("POST", echo.url(f"/to/307/{other.url('/')}"), content=b"body")
        assert other.seen == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_becomes_a_get_without_its_body(echo: Echo, status: int) -> None:
    fetch("POST", echo.url(f"/to/{status}//"), content=b"body", headers={"Content-Type": "text/plain"})
    method, _, headers, body = echo.seen[1]
    assert (method, body, "content-type" in headers) == ("GET", b"", False)


# Time and size -------------------------------------------------------------------------------------------------------


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


# Failures that may pass ----------------------------------------------------------------------------------------------


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


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's context with a certificate for secure.example, which the client trusts."""
    pem = _certificate(tmp_path / "secure.pem", "secure.example")
    trusting = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr(client, "_certificates", lambda: trusting)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving


def test_tls_is_checked_against_the_name_although_the_address_is_dialled(
    certified: ssl.SSLContext, names: Any, settings: Any
) -> None:
    settings.ROOST_OUTGOING_ALLOW = ["127.0.0.1"]
    names["secure.example"] = names["other.example"] = [["127.0.0.1"]]
    asked: list[str | None] = []
    certified.sni_callback = lambda _socket, name, _context: asked.append(name)
    with echoing(certified) as echo:
        assert fetch("GET", echo.url(host="secure.example", scheme="https")).status == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch("GET", echo.url(host="other.example", scheme="https"))
        target = "/to/302/http://secure.example/"
        with pytest.raises(RefusedAddress, match="https to http"):
            fetch("GET", echo.url(target, host="secure.example", scheme="https"), headers={"Authorization": "s"})
    assert asked == ["secure.example", "other.example", "secure.example"]
    assert [headers["host"] for _, _, headers, _ in echo.seen] == [f"secure.example:{echo.port}"] * 2


def _certificate(path: Path, name: str) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path
