"""The examples of the pages on schedules and triggers do what they say, with the engines that they name."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class

from runtime import conditions
from runtime.models import Schedule, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.schedules import set_schedule
from runtime.operations.triggers import checked
from runtime.testing import drain
from tests.engines.pages import serving

DOCS = Path(__file__).resolve().parents[2] / "docs"
HOP = "tests.ledger.engines.Hop"
"""Stands for an engine of the reader's: it takes any payload."""
ONCE = {"checks_required": 1, "claim": "It is up."}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("L33")]


@pytest.fixture(autouse=True)
def _the_readers_engines(settings: Any) -> None:
    """Register what the pages say is the reader's."""
    settings.ROOST_ENGINES = settings.ROOST_ENGINES | dict.fromkeys(["mail", "report", "janitor"], HOP)


@pytest.fixture
def closed() -> Iterator[str]:
    """Return the address of a page that nobody serves."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def run(page: str, place: int, **names: Any) -> dict[str, Any]:
    """Run an example of a page and return its names."""
    exec(compile(examples(page)[place], f"{page}, example {place}", "exec"), names)  # noqa: S102 - our own page
    return names


def watched(url: str) -> WorkItem:
    """Look at a page once; what that starts stays queued."""
    item = enqueue("watchlist", {"url": url, **ONCE})
    drain(engines=["watchlist"])
    item.refresh_from_db()
    assert item.state == "done", item.error
    return item


def test_the_schedules_of_the_page_are_set() -> None:
    run("how-to/schedules.md", 0)
    assert set(Schedule.objects.values_list("name", flat=True)) == {"nightly", "pulse", "launch"}


def test_the_pages_test_fires_a_schedule() -> None:
    set_schedule("nightly", engine="report", payload={"steps": 1}, cron="30 2 * * *")
    run("how-to/schedules.md", 1)
    assert WorkItem.objects.get().state == "done"


def test_the_follow_up_of_the_page_opens_an_ended_item_again() -> None:
    item = enqueue("report", {"steps": 1})
    drain()
    run("how-to/schedules.md", 2, item=item, user=None)
    item.refresh_from_db()
    assert item.state == "queued"


def test_the_trigger_of_the_page_fires_for_a_page_that_is_down_and_for_no_other(closed: str) -> None:
    run("how-to/triggers.md", 0)
    with serving() as site:
        watched(site.url())
    assert not WorkItem.objects.filter(engine="mail").exists()
    down = watched(closed)
    mail = WorkItem.objects.get(engine="mail")
    assert mail.parent_id == down.pk
    assert mail.payload == {"to": "ops", "subject": closed, "checks": 1, "because": "it is down"}


def test_the_condition_of_the_pages_command_holds_for_a_page_that_is_down(closed: str) -> None:
    [text] = re.findall(r"--if '([^']+)'", (DOCS / "how-to/triggers.md").read_text())
    assert conditions.condition(text).holds({"result": watched(closed).result})
    with serving() as site:
        assert not conditions.condition(text).holds({"result": watched(site.url()).result})


def test_the_payload_that_the_commands_help_shows_takes_the_address_of_a_watched_page(closed: str) -> None:
    parser = load_command_class("runtime", "roost").create_parser("manage.py", "roost")
    helped = io.StringIO()
    with contextlib.redirect_stdout(helped), pytest.raises(SystemExit):
        parser.parse_args(["triggers", "set", "--help"])
    [shown] = re.findall(r"Its payload: (\{[^}]*\})", helped.getvalue())
    item = watched(closed)
    scope = {"result": item.result, "payload": item.payload}
    assert conditions.filled(json.loads(shown), scope) == {"url": closed}


def test_the_setting_of_the_page_is_a_trigger() -> None:
    [(name, given)] = run("how-to/triggers.md", 1)["ROOST_TRIGGERS"].items()
    assert checked(name, given)["target"] == "janitor"


def test_the_result_of_a_watchlist_is_the_one_that_the_reference_shows(closed: str) -> None:
    [shown] = re.findall(r'`(\{"verdict".*?\})`', (DOCS / "reference/shipped-engines.md").read_text())
    real = watched(closed).result
    assert real.keys() == json.loads(shown).keys()
    assert real["verdict"] == json.loads(shown)["verdict"]
