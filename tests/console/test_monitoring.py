"""Machines are told how Roost is: health to anybody, numbers to whoever may see them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.urls import resolve

from runtime.queries import doctor, metrics, readiness
from tests.console.conftest import Staff
from tests.runtime.queries import rows, unapplied

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "a token of some length"
ONLY_POSTGRES = {"roost_notify_queue_usage", "roost_vacuum_held_transactions"}


@pytest.fixture(autouse=True)
def looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe nothing of another test's migrations."""
    monkeypatch.setattr(readiness, "_migrated_at", {})


def ready(**query: Any) -> tuple[int, dict[str, str]]:
    """Ask whether the process is ready; return the status and what was looked at."""
    response = Client().get("/roost/health/ready", query)
    assert "no-store" in response["Cache-Control"]
    return response.status_code, response.json()["checks"]


def test_a_process_that_answers_is_live_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> Any:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = Client().get("/roost/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_is_who_has_a_database_with_its_migrations() -> None:
    assert ready() == (200, {"database": "ok", "migrations": "ok"})
    assert Client().head("/roost/health/ready").status_code == 200
    assert Client().post("/roost/health/ready").status_code == 405


def test_who_has_no_database_is_not_ready_and_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> Any:
        raise OperationalError("password authentication failed for user postgres at 10.0.0.7")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = Client().get("/roost/health/ready")
    assert (response.status_code, response.json()["checks"]) == (503, {"database": "failed"})
    assert "10.0.0.7" not in response.content.decode()


def test_who_misses_a_migration_is_not_ready_until_it_is_applied() -> None:
    applied = MigrationRecorder(connection).migration_qs.filter(app="roost")
    kept = list(applied.values("app", "name", "applied"))
    applied.delete()
    assert ready() == (503, {"database": "ok", "migrations": "failed"})
    for one in kept:
        applied.create(**one)
    assert ready()[0] == 200


@pytest.mark.parametrize(("waiting", "status"), [("9000_post_release", 200), ("9000_pre_release", 503)])
def test_ready_is_also_who_has_migrations_left_for_when_the_old_release_is_gone(
    monkeypatch: pytest.MonkeyPatch, waiting: str, status: int
) -> None:
    unapplied.migrations(monkeypatch, [waiting])
    rows.worker()
    told = ready(worker="1")
    assert told[0] == status
    assert (told[1]["migrations"], "workers" in told[1]) == (("ok", True) if status == 200 else ("failed", False))


def test_migrations_are_not_looked_at_with_every_question(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready()[0] == 200
    monkeypatch.setattr(doctor, "migrations", lambda using: pytest.fail("looked at again"))
    assert ready()[0] == 200


@pytest.mark.parametrize("by", ["query", "setting"])
def test_a_live_worker_is_asked_for_if_that_is_wished(settings: Any, by: str) -> None:
    query = {"worker": "1"} if by == "query" else {}
    settings.ROOST_READY_NEEDS_WORKER = by == "setting"
    assert ready(**query) == (503, {"database": "ok", "migrations": "ok", "workers": "failed"})
    rows.worker()
    assert ready(**query) == (200, {"database": "ok", "migrations": "ok", "workers": "ok"})


# Who may read the numbers ---------------------------------------------------------------------------------------------


def scrape(client: Client | None = None, **headers: str) -> Any:
    return (client or Client()).get("/roost/metrics", headers=headers)


def test_numbers_are_for_those_who_may_view_items(staff: Staff, log_in: Callable[[User], Client]) -> None:
    assert (scrape().status_code, scrape()["WWW-Authenticate"]) == (401, "Bearer")
    assert scrape(log_in(staff(name="nobody"))).status_code == 403
    response = scrape(log_in(staff("view_workitem")))
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE roost_items gauge" in response.content.decode()


def test_numbers_are_for_whoever_has_the_token(settings: Any) -> None:
    assert scrape(Authorization="Bearer ").status_code == 401
    settings.ROOST_METRICS_TOKEN = TOKEN
    assert scrape(Authorization=f"Bearer {TOKEN}").status_code == 200
    for wrong in ("", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ünknown"):
        assert scrape(Authorization=wrong).status_code == 401
    settings.ROOST_METRICS_TOKEN = ""
    assert scrape(Authorization="Bearer ").status_code == 401


def test_a_middleware_that_asks_everybody_to_log_in_lets_machines_pass(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert ready()[0] == 200
    assert scrape().status_code == 401


def test_numbers_that_cannot_be_read_are_told_so(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise OperationalError("the server has gone away")

    settings.ROOST_METRICS_TOKEN = TOKEN
    monkeypatch.setattr(metrics, "collect", refuse)
    assert scrape(Authorization=f"Bearer {TOKEN}").status_code == 503


# What reads them ------------------------------------------------------------------------------------------------------


def told() -> set[str]:
    """Name the metrics that a scrape has."""
    return {one.name for one in metrics.collect()} | ONLY_POSTGRES


@pytest.mark.parametrize("file", ["prometheus-alerts.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_asked_for_exists(file: str) -> None:
    text = re.sub(r"^#.*$", "", (DEPLOY / file).read_text(), flags=re.MULTILINE)
    asked = set(re.findall(r"\broost_\w+", text))
    assert asked
    assert asked - told() == set()


def test_every_metric_is_shown_or_watched() -> None:
    text = "".join((DEPLOY / file).read_text() for file in ("prometheus-alerts.yml", "grafana-dashboard.json"))
    assert {name for name in told() if not re.search(rf"\b{name}\b", text)} == set()


def test_alert_rules_are_whole() -> None:
    [group] = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    for rule in group["rules"]:
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_dashboards_panels_have_places_and_questions_of_their_own() -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    for panel in board["panels"]:
        assert all("job=" in target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("path", ["health/live", "health/ready", "metrics"])
def test_no_request_is_a_transaction(path: str) -> None:
    view: Any = resolve(f"/roost/{path}").func
    assert view._non_atomic_requests >= set(connections.settings)
