from __future__ import annotations

from typing import Any

import pytest

from runtime.queries.redaction import REDACTED, redacted, sounds_secret


@pytest.mark.parametrize(
    "key", ["password", "DB_PASSWORD", "apiKey", "api-key", "accessToken", "Authorization", "aws_secret_access_key"]
)
def test_names_of_secrets_are_known_in_any_spelling(key: str) -> None:
    assert sounds_secret(key)


@pytest.mark.parametrize("key", ["tokens_used", "max_tokens", "key", "idempotency_key", "passed", "author", "", "é"])
def test_other_names_are_left_alone(key: str) -> None:
    assert not sounds_secret(key)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"a": [{"token": {"deep": 1}}]}, {"a": [{"token": REDACTED}]}),
        ({"token": None}, {"token": None}),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {REDACTED}"),
        ("postgres://u:p@h/db", f"postgres://{REDACTED}@h/db"),
        ("-----BEGIN RSA PRIVATE KEY-----\nx", REDACTED),
        (7, 7),
    ],
)
def test_secrets_are_replaced_wherever_they_stand(value: Any, wanted: Any) -> None:
    assert redacted(value) == wanted
