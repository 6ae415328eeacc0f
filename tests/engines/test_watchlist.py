"""The watchlist observes what a page does and never fails for it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engines.watchlist import Watchlist, fetch
from engines.watchlist.engine import judge
from runtime.engine import Complete, Continue, Snapshot
from runtime.exceptions import InvalidInput
from runtime.testing import RecordingContext, run_step
from tests.engines.pages import Site, serving

pytestmark = pytest.mark.plain

ENGINE = Watchlist()
SCHEMA = Draft202012Validator(Watchlist.payload_schema)


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve pages on loopback."""
    with serving() as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose patience soon."""
    monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 0.3)


def observe(url: str) -> fetch.Observation:
    return asyncio.run(fetch.observe(url, 1))


def watch(payload: dict[str, Any]) -> tuple[Complete, RecordingContext, list[Continue]]:
    """Run an item to its end, each step from what JSON kept of the one before."""
    snapshot, context, seen = None, RecordingContext(), []
    while True:
        decision = run_step(ENGINE, payload, snapshot=snapshot, context=context)
        if isinstance(decision, Complete):
            return decision, context, seen
        assert isinstance(decision, Continue)
        seen.append(decision)
        snapshot = Snapshot(data=json.loads(json.dumps(decision.state)), version=len(seen))


# An item's way ------------------------------------------------------------------------------------------------------


def test_a_page_that_answers_each_time_is_reachable_with_its_evidence(site: Site) -> None:
    end, context, steps = watch({"url": site.url(), "claim": "It is up.", "checks_required": 2, "delay_seconds": 7})
    assert [(step.delay, step.label) for step in steps] == [(7, "check 1 of 2: reached")]
    evidence = context.artifacts["evidence.json"]
    assert end.result == {"verdict": "reachable", "checks": 2, "artifact": evidence.sha256}
    told = json.loads(evidence.content)
    assert (told["claim"], told["verdict"]) == ("It is up.", "reachable")
    assert told["observations"] == end.state["observations"]
    assert [one["n"] for one in told["observations"]] == [1, 2]
    assert (evidence.kind, evidence.content_type) == ("json", "application/json")


@pytest.mark.scenario("L37")
def test_a_page_that_flips_between_up_and_down_is_unstable(site: Site) -> None:
    end, _context, _steps = watch({"url": site.url("/flip"), "checks_required": 4, "delay_seconds": 0})
    assert end.result["verdict"] == "unstable"
    seen = end.state["observations"]
    assert [(one["ok"], one["status"]) for one in seen] == [(True, 200), (False, 503), (True, 200), (False, 503)]


def test_a_page_that_nobody_serves_is_unreachable_after_three_checks() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        end, _context, steps = watch({"url": f"http://127.0.0.1:{held.getsockname()[1]}/"})
    assert end.result["verdict"] == "unreachable"
    assert end.result["checks"] == 3
    assert [step.delay for step in steps] == [5.0, 5.0]
    assert all(one["error"].startswith("ConnectError") for one in end.state["observations"])


def test_a_step_made_again_after_a_crash_adds_no_second_observation(site: Site) -> None:
    payload = {"url": site.url(), "checks_required": 3, "delay_seconds": 0}
    first = run_step(ENGINE, payload)
    assert isinstance(first, Continue)
    before = json.dumps(first.state)
    snapshot = Snapshot(data=first.state, version=1)
    for _attempt in range(2):
        again = run_step(ENGINE, payload, snapshot=snapshot)
        assert isinstance(again, Continue)
        assert [one["n"] for one in again.state["observations"]] == [1, 2]
    assert json.dumps(first.state) == before


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [([True], "reachable"), ([False], "unreachable"), ([True, False], "unstable"), ([False, True], "unstable")],
)
def test_the_verdict_follows_from_all_observations(seen: list[bool], verdict: str) -> None:
    assert judge(seen) == verdict


# One look -----------------------------------------------------------------------------------------------------------


def test_an_observation_tells_status_size_and_hash(site: Site) -> None:
    seen = observe(site.url())
    assert (seen.ok, seen.status, seen.error, seen.bytes, seen.truncated) == (True, 200, "", 5, False)
    assert seen.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert seen.at.endswith("+00:00")
    assert seen.elapsed_ms >= 0


@pytest.mark.parametrize("status", [204, 404, 500])
def test_only_an_answer_of_success_is_ok(site: Site, status: int) -> None:
    seen = observe(site.url(f"/status/{status}"))
    assert (seen.ok, seen.status, seen.error) == (status < 300, status, "")


@pytest.mark.parametrize(("size", "truncated"), [(fetch.MAX_BYTES, False), (fetch.MAX_BYTES + 1, True)])
def test_no_more_than_the_cap_of_a_large_page_is_read(site: Site, size: int, truncated: bool) -> None:
    seen = observe(site.url(f"/big/{size}"))
    assert (seen.ok, seen.bytes, seen.truncated) == (True, fetch.MAX_BYTES, truncated)
    assert seen.sha256 == hashlib.sha256(b"x" * fetch.MAX_BYTES).hexdigest()


def test_a_page_without_end_is_let_go_at_the_cap(site: Site) -> None:
    seen = observe(site.url("/endless"))
    assert (seen.ok, seen.bytes, seen.truncated) == (True, fetch.MAX_BYTES, True)


def test_redirects_are_followed_to_the_third(site: Site) -> None:
    seen = observe(site.url("/hops/2"))
    assert (seen.ok, seen.url) == (True, site.url("/"))
    assert site.requests == ["/hops/2", "/hops/1", "/hops/0", "/"]
    beyond = observe(site.url("/hops/3"))
    assert not beyond.ok
    assert beyond.error.startswith("RefusedAddress")
    assert "redirected more than 3 times" in beyond.error


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("ftp://127.0.0.1/", "its scheme is 'ftp'"),
        ("file:///etc/passwd", "its scheme is 'file'"),
        ("http://ann:secret@127.0.0.1/", "user name"),
        ("http://[/", ""),
    ],
)
def test_a_redirect_to_anything_but_a_plain_web_page_is_not_followed(site: Site, target: str, says: str) -> None:
    seen = observe(site.url(f"/to/{target}"))
    assert not seen.ok
    assert says in seen.error


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("page", ["/slow", "/drip"])
def test_a_page_that_does_not_answer_in_time_is_an_observation(site: Site, page: str) -> None:
    seen = observe(site.url(page))
    assert (seen.ok, seen.error) == (False, "no complete answer within 0.3 s")
    assert seen.elapsed_ms < 5000
    assert seen.status == (200 if page == "/drip" else None)


def test_an_answer_that_is_no_http_is_an_observation_that_json_can_hold(site: Site) -> None:
    seen = observe(site.url("/garbage"))
    assert not seen.ok
    assert seen.error.startswith("RemoteProtocolError")
    assert seen.error.isprintable()


def test_a_page_on_this_machine_is_fetched_without_the_proxy_of_the_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert observe(site.url()).ok


@pytest.mark.scenario("S10")
def test_a_page_of_the_own_network_is_not_looked_at_unless_it_is_allowed(site: Site, settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = []
    seen = observe(site.url())
    assert (seen.ok, seen.status, site.requests) == (False, None, [])
    assert "RefusedAddress" in seen.error
    assert "ROOST_OUTGOING_ALLOW" in seen.error


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        {"url": "https://example.com"},
        {
            "url": "http://localhost:8000/a?b=c#d",
            "claim": "Example Domain is reachable",
            "checks_required": 3,
            "delay_seconds": 0.5,
        },
        {"url": "http://[::1]:8000/"},
        {"url": "HTTPS://example.com"},
        {"url": "https://münchen.example/straße"},
    ],
)
def test_good_payloads_pass(payload: dict[str, Any]) -> None:
    ENGINE.check_payload(payload)
    assert SCHEMA.is_valid(payload)


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "example.com",
        "not a url",
        "http://",
        "http:///path",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://ann@example.com",
        "http://ann:secret@example.com",
        "http://example.com:99999",
        "http://example.com:port",
        "http://[::1",
        "http://example.com/a b",
        "http://example.com/\n",
        "http://example.com/\x00",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_a_url_that_is_no_url_is_refused(url: Any) -> None:
    with pytest.raises(InvalidInput, match="Give an http or https URL") as caught:
        ENGINE.check_payload({"url": url})
    assert caught.value.field == "payload.url"


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"claim": 7}, "payload.claim"),
        ({"claim": "x" * 2001}, "payload.claim"),
        ({"checks_required": 0}, "payload.checks_required"),
        ({"checks_required": 1001}, "payload.checks_required"),
        ({"delay_seconds": -1}, "payload.delay_seconds"),
        ({"delay_seconds": float("nan")}, "payload.delay_seconds"),
        ({"interval": 5}, "payload.interval"),
    ],
)
def test_a_payload_it_cannot_work_on_is_refused_with_the_field_that_is_wrong(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ENGINE.check_payload({"url": "https://example.com", **more})
    assert caught.value.field == field


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("payload", [None, "https://example.com", {}, {"claim": "no url"}])
def test_a_payload_without_a_url_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput, match="url"):
        ENGINE.check_payload(payload)
    assert not SCHEMA.is_valid(payload)


@pytest.mark.parametrize(
    "more",
    [
        {"url": 7},
        {"url": "ftp://example.com"},
        {"url": "https://example.com/" + "a" * 2000},
        {"claim": 7},
        {"claim": "x" * 2001},
        {"checks_required": 0},
        {"checks_required": 1001},
        {"checks_required": 1.5},
        {"delay_seconds": -1},
        {"delay_seconds": 86_401},
        {"interval": 5},
    ],
)
def test_what_its_schema_refuses_it_refuses_too(more: dict[str, Any]) -> None:
    payload = {"url": "https://example.com", **more}
    assert not SCHEMA.is_valid(payload)
    with pytest.raises(InvalidInput):
        ENGINE.check_payload(payload)


def test_its_schema_tells_of_each_field_what_it_is_for() -> None:
    assert [name for name, field in Watchlist.payload_schema["properties"].items() if not field["description"]] == []
