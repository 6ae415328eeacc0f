"""A server on loopback to call, and names that resolve as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.outgoing import resolving
from tests.runtime.outgoing.echo import Echo, echoing


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
