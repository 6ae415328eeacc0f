"""No secret is committed: nothing that looks like a known kind of key, and nothing that chance made."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import Counter

import pytest

from runtime import tokens
from tests.contracts.test_house import ROOT, tracked

pytestmark = pytest.mark.plain

KEYS = re.compile(
    r"\bAKIA[0-9A-Z]{16}\b|\bgh[opsu]_[A-Za-z0-9]{36}\b|\bxox[abprs]-[A-Za-z0-9-]{20,}|\bsk-[A-Za-z0-9_-]{32,}"
    r"|\broost_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----$|\beyJ[\w-]{20,}\.eyJ[\w-]{20,}"
)
"""What services' keys, tokens of Roost, private keys and signed tokens look like."""
WORD = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}(?![A-Za-z0-9+/_-])")
HEX = re.compile(r"[0-9a-f]+\Z")
MIXED = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])")
BITS, BITS_OF_HEX = 4.2, 3.3
"""Bits a character from which on nobody has thought of so long a word."""
HASHES = re.compile(r"constraints[\w-]*\.txt")
PUBLISHED = {"tests/runtime/test_signatures.py": "the request that Slack's documentation signs"}
"""Files with words at random that are no secrets, and what they are."""

DIGEST = hashlib.sha256(b"planted").digest()
# Put together here, so that this file does not find itself.
SECRETS = {
    "token of Roost": tokens.make().text,
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    "key of a cloud": "AKIA" + "Q" * 16,
    "token of a forge": "ghp" + "_" + "a1B2" * 9,
    "signed token": ".".join(["eyJ" + "x" * 20] * 2),
    "base64": base64.b64encode(DIGEST).decode(),
    "base64 of an address": base64.urlsafe_b64encode(DIGEST).decode().rstrip("="),
    "hash": DIGEST.hex(),
    "half a hash": DIGEST.hex()[:32],
}


def bits(word: str) -> float:
    """Return how many bits each character of a word tells, by how often each stands in it."""
    return -sum(count / len(word) * math.log2(count / len(word)) for count in Counter(word).values())


def by_chance(word: str) -> bool:
    """Say whether a word is made of digits and letters as chance makes them."""
    return bits(word) >= BITS_OF_HEX if HEX.match(word) else bool(MIXED.match(word)) and bits(word) >= BITS


def lines_with_secrets(text: str) -> list[int]:
    """Return the numbers of the lines that hold one."""
    return [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if KEYS.search(line) or any(by_chance(word) for word in WORD.findall(line))
    ]


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "ROOST_TOKEN={}", 'token = "{}"', "Authorization: Bearer {}"])
def test_a_secret_is_found(kind: str, around: str) -> None:
    ends_its_line = kind == "private key" and not around.endswith("{}")
    planted = f"one line\n{around.format(SECRETS[kind])}\n"
    assert lines_with_secrets(planted) == ([] if ends_its_line else [2])


@pytest.mark.parametrize("line", ["test_that_a_long_name_is_none_2026", "0" * 64, "roost-artifacts/incoming/1"])
def test_what_people_write_is_none(line: str) -> None:
    assert lines_with_secrets(line) == []


def test_none_is_committed() -> None:
    found = {
        name: lines
        for path in tracked()
        if not HASHES.fullmatch(name := str(path.relative_to(ROOT))) and name not in PUBLISHED
        if (lines := lines_with_secrets(path.read_text(errors="ignore")))
    }
    assert found == {}
