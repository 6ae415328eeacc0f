from __future__ import annotations

from typing import Any

import pytest

from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("B3")
def test_preflight_fails_exactly_when_the_code_here_would_strand_something(settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    WorkItemFactory(version=1)
    assert "goes on" in run("preflight")
    assert document("preflight")["stranded"] == 0
    stray = WorkItemFactory(engine="gone")
    code, message = refused("preflight")
    assert (code, str(stray.pk) in message) == (1, True)
    stray.delete()
    assert document("preflight")["groups"][0]["items"] == 1
