"""Who knows the secret is believed, and nobody else: published examples, and everything next to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from runtime.exceptions import InvalidInput
from runtime.signatures import digest, refusal, scheme_of, secret_to_keep, token_hash

pytestmark = pytest.mark.scenario("S10")
SECRET = "a secret of some length"
BODY = b'{"n": 1}'
NOW = 1_531_420_618.0


def asked(verifier: str, headers: dict[str, str], *secrets: str, body: bytes = BODY, **options: Any) -> str:
    """Say why a request would be refused."""
    return refusal(verifier, scheme_of(verifier, options), headers, body, secrets or (SECRET,), NOW)


def signed(verifier: str, secret: str = SECRET, timestamp: str = "", body: bytes = BODY, **options: Any) -> str:
    """Return the header that whoever knows the secret would send."""
    scheme = scheme_of(verifier, options)
    found = digest(scheme, secret, timestamp, body)
    return scheme.prefix + (found.hex() if scheme.encoding == "hex" else base64.b64encode(found).decode())


def test_the_example_that_github_publishes_is_believed() -> None:
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": header}
    assert asked("github", headers, "It's a Secret to Everybody", body=b"Hello, World!") == ""
    assert asked("github", headers, "It's a Secret to Everybody", body=b"Hello, World?") == "wrong"


def test_the_example_that_slack_publishes_is_believed() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    assert asked("slack", headers, "8f742231b10e8888abcd99yyyzzz85a5", body=body) == ""


@pytest.mark.parametrize(("timestamp", "why"), [("1531420318", ""), ("1531420317", "stale"), ("1531420919", "stale")])
def test_a_request_of_slack_is_good_for_five_minutes(timestamp: str, why: str) -> None:
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": signed("slack", timestamp=timestamp)}
    assert asked("slack", headers) == why


@pytest.mark.parametrize("timestamp", ["", "x", "-5", "1531420618.0", "٣", "9" * 13])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": signed("slack", timestamp=timestamp)}
    assert asked("slack", headers) != ""


def test_a_fresh_timestamp_on_an_old_signature_is_wrong() -> None:
    old = signed("slack", timestamp="1531000000")
    assert asked("slack", {"x-slack-request-timestamp": str(int(NOW)), "x-slack-signature": old}) == "wrong"


@pytest.mark.parametrize("header", ["sha256=", "sha256=zz", "sha1=00", "x", "sha256=" + "0" * 64, "sha256=é"])
def test_a_signature_that_is_none_is_wrong(header: str) -> None:
    assert asked("github", {"x-hub-signature-256": header}) == "wrong"


@pytest.mark.parametrize("verifier", ["github", "slack", "bearer"])
def test_without_a_signature_nobody_is_believed(verifier: str) -> None:
    assert asked(verifier, {}) == "missing"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_generic_hmac_is_taken_as_its_options_say(algorithm: str, encoding: str) -> None:
    options = {"header": "X-Sum", "algorithm": algorithm, "encoding": encoding, "prefix": "sig="}
    expected = hmac.new(SECRET.encode(), BODY, algorithm).digest()
    text = expected.hex() if encoding == "hex" else base64.b64encode(expected).decode()
    assert asked("hmac", {"x-sum": f"sig={text}"}, **options) == ""
    assert asked("hmac", {"x-sum": text}, **options) == "wrong"
    assert asked("hmac", {"x-sum": f"sig={text}"}, "another secret, as long", **options) == "wrong"


def test_a_generic_hmac_may_sign_a_timestamp_with_a_window_of_its_own() -> None:
    options = {"header": "x-sum", "timestamp_header": "X-At", "signed": "v1.{timestamp}.{body}", "window": 10}
    for timestamp, why in ((str(int(NOW) - 10), ""), (str(int(NOW) - 11), "stale")):
        expected = hmac.new(SECRET.encode(), f"v1.{timestamp}.".encode() + BODY, hashlib.sha256).hexdigest()
        assert asked("hmac", {"x-sum": expected, "x-at": timestamp}, **options) == why
    assert asked("hmac", {"x-sum": expected}, **options) == "missing"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"header": "a b"},
        {"header": "x", "algorithm": "md5"},
        {"header": "x", "encoding": "utf-8"},
        {"header": "x", "timestamp_header": "y"},
        {"header": "x", "signed": "{timestamp}.{body}"},
        {"header": "x", "signed": "{body}.more"},
        {"header": "x", "signed": "nothing"},
        {"header": "x", "window": 0},
        {"header": "x", "window": True},
        {"header": "x", "window": float("nan")},
        {"header": "x", "window": 1e9},
        {"header": 5},
        {"header": "x", "unknown": "y"},
    ],
)
def test_options_that_would_not_protect_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        scheme_of("hmac", options)
    assert caught.value.field == "verifier_options"


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (f"Bearer {SECRET}", ""),
        (f"bearer {SECRET}", ""),
        (f"Bearer {SECRET}x", "wrong"),
        (f"Basic {SECRET}", "wrong"),
        (SECRET, "wrong"),
        ("Bearer ", "wrong"),
        (f"Bearer {token_hash(SECRET)}", "wrong"),
    ],
)
def test_a_bearer_token_is_believed_by_its_hash(header: str, why: str) -> None:
    kept = secret_to_keep(SECRET, "bearer")
    assert SECRET not in kept
    assert asked("bearer", {"authorization": header}, kept) == why


def test_both_secrets_are_good_while_one_replaces_the_other() -> None:
    for secret in ("old secret, long enough", "new secret, long enough"):
        headers = {"x-hub-signature-256": signed("github", secret)}
        assert asked("github", headers, "new secret, long enough", "old secret, long enough") == ""


def test_a_secret_of_the_environment_is_read_there_and_nothing_is_believed_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    assert asked("github", {"x-hub-signature-256": signed("github")}, "env:HOOK_SECRET") == ""
    for gone in ("", "short"):
        monkeypatch.setenv("HOOK_SECRET", gone)
        assert asked("github", {"x-hub-signature-256": signed("github", gone)}, "env:HOOK_SECRET") == "wrong"
        assert asked("bearer", {"authorization": f"Bearer {gone}"}, "env:HOOK_SECRET") == "wrong"


@pytest.mark.parametrize("secret", [None, "", "short", "x" * 501, " padded padded padded ", "a\x00" * 10, "env:a-b"])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        secret_to_keep(secret, "github")
    assert not secret or str(secret) not in str(caught.value)


def test_an_hmac_without_a_header_is_told_what_to_give() -> None:
    with pytest.raises(InvalidInput, match="needs header, the name of a header, as in"):
        scheme_of("hmac", {})
