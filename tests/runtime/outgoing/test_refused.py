"""A call out reaches what was judged and nothing else, whatever names and redirects lead to."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import classify
from runtime.exceptions import RefusedAddress
from runtime.outgoing import fetch
from tests.runtime.outgoing.echo import Echo, echoing

pytestmark = [pytest.mark.plain, pytest.mark.scenario("S10")]
METADATA = "169.254.169.254"


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
