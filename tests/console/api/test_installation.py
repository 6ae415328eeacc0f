"""Who operates an installation is told over HTTP what the commands tell."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from runtime import registry
from runtime.models import Schedule
from runtime.operations.schedules import set_schedule
from runtime.queries import doctor
from tests.console.api.conftest import Api, Caller, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]


def told_by(command: str) -> Any:
    """Return the document of a command, whatever its exit code is."""
    out = StringIO()
    with suppress(CommandError):
        call_command("roost", command, "--format", "json", stdout=out)
    return json.loads(out.getvalue())


def test_the_doctor_finds_what_the_command_finds(api: Api, settings: Any) -> None:
    settings.ROOST_API_STREAM_SECONDS = 1.0
    first = api.get("/doctor").json()
    assert first["level"] == "ok", [one for one in first["findings"] if one["level"] != "ok"]
    WorkItemFactory(engine="nobody")
    WorkItemFactory(failed=True)
    settings.ROOST_LEASE_SECONDS = 1
    found = api.get("/doctor").json()
    assert found["level"] == "problem"
    looked = [(one["check"], one["level"]) for one in found["findings"]]
    assert looked == [(one["check"], one["level"]) for one in told_by("doctor")["findings"]]
    assert {("workers", "problem"), ("dead", "warning")} <= set(looked)
    assert any(check.startswith("roost.") for check, _level in looked)


def test_what_a_finding_quotes_is_for_readers(caller: Caller) -> None:
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    Schedule.objects.update(error="herring, Bearer swordfish")
    reader, other = (caller(*scopes).get("/doctor") for scopes in (("configure", "payload"), ("configure",)))
    [told] = [one for one in other.json()["findings"] if one["check"] == "schedules"]
    assert (told["level"], told["hint"]) == ("warning", "")
    assert "herring" not in other.content.decode()
    assert "herring" in reader.content.decode()
    assert "swordfish" not in reader.content.decode()


def test_what_an_engine_and_a_storage_said_is_for_readers(
    caller: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("herring, Bearer swordfish")

    WorkItemFactory(engine="counter")
    settings.ROOST_ENGINES = {"counter": "engines.never_loaded.Counter"}
    monkeypatch.setattr(registry, "import_string", fail)
    monkeypatch.setattr(doctor.artifacts, "storage", fail)
    reader, other = caller("configure", "payload"), caller("configure")
    for path in ("/doctor", "/preflight"):
        told, withheld = (who.get(path).content.decode() for who in (reader, other))
        assert "herring" in told
        assert "swordfish" not in told
        assert "herring" not in withheld
        assert "swordfish" not in withheld
    found = {one["check"]: one["level"] for one in other.get("/doctor").json()["findings"]}
    assert found["storage"] == "problem"
    [group] = other.get("/preflight").json()["groups"]
    assert (group["objection"], bool(group["text"])) == ("engine_load_error", True)


def test_preflight_counts_what_this_code_would_hold(api: Api) -> None:
    assert api.get("/preflight").json() == {"stranded": 0, "groups": []}
    WorkItemFactory(engine="counter")
    gone = WorkItemFactory(engine="nobody")
    found = api.get("/preflight").json()
    assert found["stranded"] == 1
    assert [(one["engine"], one["objection"], one["example"]) for one in found["groups"]] == [
        ("counter", "", None),
        ("nobody", "unknown_engine", str(gone.pk)),
    ]
    assert told_by("preflight") == found


@pytest.mark.parametrize("path", ["/doctor", "/preflight"])
def test_who_only_reads_is_told_neither(path: str, caller: Caller) -> None:
    problem(caller("read", "payload").get(path), 403, "forbidden")
    problem(caller(namespaces=("default",)).get(path), 403, "forbidden")


def test_a_token_reads_the_metrics(api: Api, caller: Caller) -> None:
    WorkItemFactory.create_batch(2)
    found = api.get("/metrics")
    assert found["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'roost_items{engine="counter",state="queued"} 2' in found.content.decode()
    problem(caller(namespaces=("default",)).get("/metrics"), 403, "forbidden")
