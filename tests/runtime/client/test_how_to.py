"""The how-to's examples do what they say, against a server that runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.client import verbs
from runtime.models import Event, WorkItem
from runtime.queries import feed
from runtime.testing import drain
from tests.factories import WaitFactory
from tests.runtime.client.conftest import ROOT

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "client.md"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("S10")]


def test_every_example_of_the_page_works(
    live_server: Any, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOST", f"{live_server.url}{ROOT}")
    monkeypatch.setenv("TOKEN", token)
    monkeypatch.setenv("LAST", feed.start())
    asked = WaitFactory().work_item
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    for place, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, example {place}", "exec"), names)  # noqa: S102 - our own page
        if place == 1:
            drain(skip_delays=True)
    names["roost"].close()
    told = capsys.readouterr().out
    assert names["result"] == WorkItem.objects.get(idempotency_key="order-7").result
    assert "1 enqueued" in told
    assert re.search(r"\d+ done", told)
    assert "it is done" in told
    assert Event.objects.filter(work_item=asked, kind="approved", reason="agreed").exists()


def test_the_verbs_take_what_the_page_says() -> None:
    text = PAGE.read_text()
    named = re.findall(r"`(\w+)`", text.partition("There are ")[2].partition(".")[0])
    options = {"reason", "row_version", "idempotency_key"}
    lacking = {name: options - _taken(getattr(verbs, name)) for name in named}
    assert {name: lacks for name, lacks in lacking.items() if lacks} == {
        "redrive_many": {"row_version"},
        "signal": options,
    }
    assert "delivery_id" in _taken(verbs.signal)


def _taken(verb: Any) -> set[str]:
    parameters = inspect.signature(verb).parameters.values()
    others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return {parameter.name for parameter in parameters} | (set(verbs.VerbOptions.__annotations__) if others else set())
