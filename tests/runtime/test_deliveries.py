"""A receiver believes what its secret has signed lately, and nothing else."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from runtime.deliveries import receive, signed_headers
from runtime.exceptions import DeliveryRefused

pytestmark = pytest.mark.scenario("S10")

SECRET, OTHER, NOW = "a secret of thirty-two characters", "some other secret of theirs", 1_800_000_000.7
BODY = b'{"event": "item.done"}'


def headers(secret: str = SECRET) -> dict[str, str]:
    return signed_headers(secret, event="item.done", delivery="d-1", content=BODY, now=NOW)


def test_what_the_secret_signed_is_received_whatever_the_case_of_its_headers() -> None:
    given = {name.title(): value for name, value in headers().items()}
    got = receive(given, BODY, SECRET, now=NOW)
    assert (got.id, got.event, got.body) == ("d-1", "item.done", {"event": "item.done"})


def test_the_signature_is_what_the_documentation_says() -> None:
    wanted = hmac.new(SECRET.encode(), b"1800000000." + BODY, hashlib.sha256).hexdigest()
    assert headers()["x-roost-signature"] == f"v1={wanted}"


def test_while_a_secret_is_changed_both_are_believed() -> None:
    assert receive(headers(OTHER), BODY, [SECRET, OTHER], now=NOW).id == "d-1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"x-roost-signature": ""}, "missing"),
        ({"x-roost-timestamp": ""}, "missing"),
        ({"x-roost-timestamp": "1800000001"}, "wrong"),
        ({"x-roost-signature": "v1=" + "0" * 64}, "wrong"),
        ({"x-roost-signature": headers(OTHER)["x-roost-signature"]}, "wrong"),
    ],
)
def test_what_is_not_signed_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(DeliveryRefused, match=why):
        receive({**headers(), **change}, BODY, SECRET, now=NOW)


def test_another_body_is_refused() -> None:
    with pytest.raises(DeliveryRefused, match="wrong"):
        receive(headers(), BODY + b" ", SECRET, now=NOW)


@pytest.mark.parametrize("late", [302, -302])
def test_an_old_delivery_that_is_played_again_is_refused(late: float) -> None:
    with pytest.raises(DeliveryRefused, match="stale"):
        receive(headers(), BODY, SECRET, now=NOW + late)


def test_what_is_signed_and_no_json_is_refused() -> None:
    given = signed_headers(SECRET, event="e", delivery="d", content=b"{", now=NOW)
    with pytest.raises(DeliveryRefused) as caught:
        receive(given, b"{", SECRET, now=NOW)
    assert caught.value.code == "bad_body"
