"""Every check finds what it is for, says what to type, and finds nothing in the demo product's settings."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.core.management import get_commands
from django.db import connection
from django.test import override_settings

from runtime import checks
from runtime.checks import configuration, databases, surroundings
from runtime.management.commands.runworker import Command as RunWorker
from tests.factories import WorkerFactory
from tests.runtime.optional_checks import (  # run among the others
    test_redact_not_found,  # noqa: F401
    test_scan_not_found,  # noqa: F401
    test_tracing_without_opentelemetry,  # noqa: F401
)
from tests.runtime.target_checks import (  # run among the others
    test_webhook_target_makes_no_sense,  # noqa: F401
    test_webhook_target_not_told,  # noqa: F401
)

HERE = "tests.runtime.operations.sample"
DOCUMENTED = Path(django_settings.BASE_DIR) / "docs" / "reference" / "checks.md"
EVERY = (*checks.ALWAYS, *checks.WITH_DATABASE, *checks.AT_DEPLOYMENT)


def only(found: list[CheckMessage], code: str, *words: str) -> CheckMessage:
    """Return the one message found, having made sure that it is the right one and says what to do."""
    assert [message.id for message in found] == [code], found
    [message] = found
    assert message.hint
    for word in words:
        assert word in f"{message.msg} {message.hint}"
    return message


def test_the_settings_of_the_suite_pass_every_check_that_always_runs() -> None:
    for check in checks.ALWAYS:
        assert check() == [], check.__name__


def test_django_runs_every_check_under_our_tag() -> None:
    ran = django_checks.registry.registry.get_checks(include_deployment_checks=True)
    ours = {check for check in ran if "roost" in getattr(check, "tags", ())}
    assert ours == set(EVERY)


def test_every_check_has_a_test_and_a_row_of_its_name() -> None:
    rows = DOCUMENTED.read_text()
    for check in EVERY:
        assert f"test_{check.__name__}" in globals(), check.__name__
        assert f"`{check.__name__}`" in rows
    files = (Path(str(module.__file__)) for module in (configuration, databases, surroundings))
    given = sorted(code for file in files for code in re.findall(r'id="(roost\.[EWI]\d{3})"', file.read_text()))
    assert len(given) == len(set(given)) == len(EVERY)
    assert sorted(re.findall(r"^\| `(roost\.[EWI]\d{3})` ", rows, re.MULTILINE)) == given


@pytest.mark.parametrize("value", ["15", None, True, [15]])
def test_setting_of_wrong_type(settings: Any, value: Any) -> None:
    settings.ROOST_LEASE_SECONDS = value
    only(configuration.setting_of_wrong_type(), "roost.E001", "ROOST_LEASE_SECONDS", "float")
    for check in (*checks.ALWAYS, *checks.AT_DEPLOYMENT):
        check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SWEEP_BATCH", 0),
        ("HEARTBEAT_SECONDS", -1.0),
        ("POLL_SECONDS", float("nan")),
        ("GRACE_SECONDS", -0.1),
        ("BACKOFF_JITTER", 1.5),
        ("MAX_ATTEMPTS", 0),
        ("STEP_TIMEOUT", 0),
    ],
)
def test_setting_out_of_range(settings: Any, name: str, value: float) -> None:
    setattr(settings, f"ROOST_{name}", value)
    only(configuration.setting_out_of_range(), "roost.E002", f"ROOST_{name}", "default")


@pytest.mark.parametrize("name", ["GRACE_SECONDS", "STICKY_SECONDS", "BACKOFF_JITTER", "BACKOFF_BASE"])
def test_zero_is_in_range_where_it_means_none(settings: Any, name: str) -> None:
    setattr(settings, f"ROOST_{name}", 0)
    assert configuration.setting_out_of_range() == []


def test_lease_shorter_than_three_heartbeats(settings: Any) -> None:
    settings.ROOST_LEASE_SECONDS, settings.ROOST_HEARTBEAT_SECONDS = 6.0, 2.0
    assert configuration.lease_shorter_than_three_heartbeats() == []
    settings.ROOST_LEASE_SECONDS = 5.9
    only(configuration.lease_shorter_than_three_heartbeats(), "roost.E003", "ROOST_LEASE_SECONDS = 6")


def test_unknown_setting(settings: Any) -> None:
    settings.ROOST_LEASE_SECOND = 3
    only(configuration.unknown_setting(), "roost.W001", "Did you mean ROOST_LEASE_SECONDS?")


def test_an_unknown_setting_like_no_other_is_found_too(settings: Any) -> None:
    settings.ROOST_XYZZY_QQ = 3
    only(configuration.unknown_setting(), "roost.W001", "There is no setting ROOST_XYZZY_QQ")


def test_steps_longer_than_the_grace_period(settings: Any) -> None:
    assert configuration.steps_longer_than_the_grace_period() == []
    settings.ROOST_GRACE_SECONDS = 10
    only(configuration.steps_longer_than_the_grace_period(), "roost.I002", "300 s", "10 s")
    settings.ROOST_STEP_TIMEOUT = None
    only(configuration.steps_longer_than_the_grace_period(), "roost.I002", "for ever")
    settings.ROOST_STEP_TIMEOUT = 10
    assert configuration.steps_longer_than_the_grace_period() == []


@pytest.mark.parametrize("path", ["nowhere.at.All", "tests.nowhere.All", "NoModule", "", ".x.Y", "tests..x"])
def test_engine_not_found(settings: Any, path: str) -> None:
    settings.ROOST_ENGINES = {"mine": path}
    only(configuration.engine_not_found(), "roost.E004", "'mine'", "ROOST_ENGINES['mine']")


def test_looking_for_engines_imports_none(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_engine_module.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.ROOST_ENGINES = {"mine": "slow_engine_module.Slow"}
    assert configuration.engine_not_found() == []
    assert "slow_engine_module" not in sys.modules


@pytest.mark.parametrize("path", [f"{HERE}.Nobody", f"{HERE}.broken"])
def test_engine_does_not_load(settings: Any, path: str) -> None:
    settings.ROOST_ENGINES = {"mine": path, "echo": f"{HERE}.Echo"}
    only(configuration.engine_does_not_load(), "roost.E005", "'mine'", f"import {HERE}")


@pytest.mark.parametrize("name", ["DATABASE", "DIRECT_DATABASE"])
def test_database_alias_missing(settings: Any, name: str) -> None:
    setattr(settings, f"ROOST_{name}", "elsewhere")
    only(databases.database_alias_missing(), "roost.E006", f"ROOST_{name}", "'default'")
    for check in (*checks.ALWAYS, *checks.WITH_DATABASE):
        check()


def database(monkeypatch: pytest.MonkeyPatch, vendor: str, name: Any = "", **settings: Any) -> None:
    """Let the work database look like this to the checks."""
    given = {"NAME": name, "OPTIONS": {}, "DISABLE_SERVER_SIDE_CURSORS": False, **settings}
    seen = {"default": SimpleNamespace(vendor=vendor, settings_dict=given)}
    monkeypatch.setattr(databases, "connections", seen)


def test_sqlite_without_wal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "work.sqlite3"
    database(monkeypatch, "sqlite", file)
    only(databases.sqlite_without_wal(), "roost.W005", str(file), "PRAGMA journal_mode=WAL")
    made = sqlite3.connect(file)
    made.execute("CREATE TABLE one (id)")
    only(databases.sqlite_without_wal(), "roost.W005")
    made.execute("PRAGMA journal_mode=WAL")
    made.close()
    assert databases.sqlite_without_wal() == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("new.sqlite3", {"init_command": "PRAGMA journal_mode=WAL;"}),
        (":memory:", {}),
        ("file:memorydb_default?mode=memory&cache=shared", {}),
    ],
)
def test_sqlite_that_will_use_wal_or_has_no_file_is_fine(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str]
) -> None:
    database(monkeypatch, "sqlite", name, OPTIONS=options)
    assert databases.sqlite_without_wal() == []


@pytest.mark.django_db
def test_sqlite_shared_by_hosts() -> None:
    WorkerFactory(host="one")
    WorkerFactory(host="one")
    WorkerFactory(host="gone", state="offline")
    assert databases.sqlite_shared_by_hosts(databases=["default"]) == []
    WorkerFactory(host="two")
    assert databases.sqlite_shared_by_hosts() == []
    found = databases.sqlite_shared_by_hosts(databases=["default"])
    if connection.vendor == "sqlite":
        only(found, "roost.W006", "one, two", "PostgreSQL")
    else:
        assert found == []


def test_pooled_database_without_a_direct_one(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    database(monkeypatch, "postgresql")
    assert databases.pooled_database_without_a_direct_one() == []
    database(monkeypatch, "postgresql", DISABLE_SERVER_SIDE_CURSORS=True)
    only(databases.pooled_database_without_a_direct_one(), "roost.W007", "ROOST_DIRECT_DATABASE")
    settings.ROOST_DIRECT_DATABASE = "direct"
    assert databases.pooled_database_without_a_direct_one() == []


def test_package_shadowed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(name="engines", label="engines", path="/srv/product/engines")
    monkeypatch.setattr(surroundings.apps, "get_app_configs", lambda: [other])
    only(surroundings.package_shadowed(), "roost.E007", "'engines'", "/srv/product/engines")


@pytest.mark.parametrize("file", ["runtime.py", "engines/__init__.py"])
def test_package_of_the_same_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path)])
    only(surroundings.package_of_the_same_name(), "roost.W008", str(tmp_path))


@pytest.fixture
def channels_first() -> Iterator[None]:
    """List channels before Roost, as a product may."""
    others = [name for name in django_settings.INSTALLED_APPS if name not in ("channels", "runtime")]
    with override_settings(INSTALLED_APPS=["channels", "runtime", *others]):
        get_commands.cache_clear()
        yield
    get_commands.cache_clear()


@pytest.mark.usefixtures("channels_first")
def test_runworker_hidden() -> None:
    only(surroundings.runworker_hidden(), "roost.W004", "'channels'", "manage.py roost_worker")


def test_a_products_own_runworker_that_extends_ours_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Extended(RunWorker):
        pass

    monkeypatch.setattr(surroundings, "get_commands", lambda: {"runworker": Extended()})
    assert surroundings.runworker_hidden() == []


def test_storage_alias_missing(settings: Any) -> None:
    settings.ROOST_ARTIFACT_STORAGE = "elsewhere"
    only(surroundings.storage_alias_missing(), "roost.W002", "STORAGES['elsewhere']")


FILES = "django.core.files.storage.FileSystemStorage"
BUCKET = "storages.backends.s3.S3Storage"


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ({"BACKEND": FILES}, "inside MEDIA_ROOT"),
        ({"BACKEND": FILES, "OPTIONS": {"location": "/srv/media/deep/artifacts"}}, "inside MEDIA_ROOT"),
        ({"BACKEND": FILES, "OPTIONS": {"location": "/srv/x/../static"}}, "inside STATIC_ROOT"),
        ({"BACKEND": BUCKET, "OPTIONS": {"default_acl": "public-read"}}, "default_acl is 'public-read'"),
        ({"BACKEND": BUCKET, "OPTIONS": {"querystring_auth": False}}, "need no signature"),
    ],
)
def test_artifacts_publicly_served(settings: Any, storage: dict[str, Any], why: str) -> None:
    settings.MEDIA_ROOT, settings.STATIC_ROOT = "/srv/media", "/srv/static"
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": storage}
    only(surroundings.artifacts_publicly_served(), "roost.W003", why)


@pytest.mark.parametrize(
    "storage",
    [
        {"BACKEND": FILES, "OPTIONS": {"location": "/srv/media-private"}},
        {"BACKEND": BUCKET, "OPTIONS": {"default_acl": None, "location": "/srv/media"}},
    ],
)
def test_artifacts_kept_apart_are_not_public(settings: Any, storage: dict[str, Any]) -> None:
    settings.MEDIA_ROOT = "/srv/media"
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": storage}
    assert surroundings.artifacts_publicly_served() == []


def test_channel_layer_in_memory(settings: Any) -> None:
    told = [] if connection.vendor == "postgresql" else ["roost.I001"]
    for backend, ids in {"channels.layers.InMemory": told, "channels_redis.core.Redis": []}.items():
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{backend}ChannelLayer"}}
        assert [found.id for found in surroundings.channel_layer_in_memory()] == ids


class SchedulesElsewhere:
    """A router that keeps one table of Roost off the default database."""

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_hints: Any) -> bool | None:
        return False if (db, app_label, model_name) == ("default", "roost", "schedule") else None


def test_tables_split_over_databases() -> None:
    with override_settings(DATABASE_ROUTERS=[SchedulesElsewhere()]):
        only(databases.tables_split_over_databases(), "roost.E008", "Schedule", "default", "router")
    assert databases.tables_split_over_databases() == []


def test_trigger_makes_no_sense() -> None:
    good = {"engine": "counter", "target": "watchlist"}
    for wrong, word in (
        ({**good, "condition": "1 +"}, "condition"),
        ({**good, "target": "nobody"}, "nobody"),
        ({**good, "when": 1}, "when"),
        ({**good, "target": "counter"}, "for ever"),
        ("counter", "mapping"),
    ):
        with override_settings(ROOST_TRIGGERS={"good": good, "odd": wrong}):
            only(configuration.trigger_makes_no_sense(), "roost.E009", "odd", word)
    with override_settings(ROOST_TRIGGERS={"good": good}):
        assert configuration.trigger_makes_no_sense() == []


def test_snapshot_policy_unknown() -> None:
    for given, word in (({"counter": "some"}, "interval(20)"), ({"nobody": "full"}, "not registered")):
        with override_settings(ROOST_SNAPSHOTS=given):
            only(configuration.snapshot_policy_unknown(), "roost.E020", "ROOST_SNAPSHOTS", word)
    with override_settings(ROOST_SNAPSHOTS={"counter": "interval(7)"}):
        assert configuration.snapshot_policy_unknown() == []


def test_offload_makes_no_sense(settings: Any) -> None:
    for most in (None, 0, 65_536):
        settings.ROOST_OFFLOAD_BYTES = most
        assert configuration.offload_makes_no_sense() == []
    for most in (-1, 65_535):
        settings.ROOST_OFFLOAD_BYTES = most
        only(configuration.offload_makes_no_sense(), "roost.E021", str(most), "65536")
    settings.ROOST_OFFLOAD_BYTES = 65_536
    settings.STORAGES = {name: one for name, one in settings.STORAGES.items() if name != "roost_artifacts"}
    only(configuration.offload_makes_no_sense(), "roost.E021", "roost_artifacts", "STORAGES")


def test_workspaces_root_not_absolute(settings: Any) -> None:
    settings.ROOST_WORKSPACES_ROOT = "workspaces"
    only(configuration.workspaces_root_not_absolute(), "roost.E015", "ROOST_WORKSPACES_ROOT", "absolute")


def test_git_missing(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path)
    assert configuration.git_missing() == []
    monkeypatch.setenv("PATH", str(tmp_path))
    only(configuration.git_missing(), "roost.W015", "git")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ALLOW", ["10.0.0.1/8"], "'10.0.0.1/8'"),
        ("ALLOW", ["http://hooks.internal"], "host name"),
        ("PORTS", [443, 0], "0"),
        ("PORTS", [True], "True"),
    ],
)
def test_outgoing_rules_wrong(settings: Any, name: str, value: list[Any], shown: str) -> None:
    settings.ROOST_OUTGOING_ALLOW, settings.ROOST_OUTGOING_PORTS = ["10.0.0.0/8", "hooks.internal"], None
    assert configuration.outgoing_rules_wrong() == []
    setattr(settings, f"ROOST_OUTGOING_{name}", value)
    only(configuration.outgoing_rules_wrong(), "roost.E016", f"ROOST_OUTGOING_{name}", shown)


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0"])
def test_outgoing_allows_everything(settings: Any, everything: str) -> None:
    settings.ROOST_OUTGOING_ALLOW = ["10.0.0.0/8"]
    assert configuration.outgoing_allows_everything() == []
    settings.ROOST_OUTGOING_ALLOW = ["10.0.0.0/8", everything]
    only(configuration.outgoing_allows_everything(), "roost.W016", everything)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"engine": "nobody"}, "'nobody'"),
        ({"verifier": "none"}, "verifier"),
        ({"secret": "short"}, "secret"),
        ({"secret": "env:ROOST_TEST_NO_SUCH_SECRET"}, "not set"),
        ({"payload": "$result"}, "$result"[1:]),
    ],
)
def test_webhook_makes_no_sense(settings: Any, changes: dict[str, Any], shown: str) -> None:
    good = {"engine": "counter", "verifier": "github", "secret": "a secret of some length"}
    settings.ROOST_WEBHOOKS = {"in": good}
    assert configuration.webhook_makes_no_sense() == []
    settings.ROOST_WEBHOOKS = {"in": good | changes}
    found = only(configuration.webhook_makes_no_sense(), "roost.E018", "ROOST_WEBHOOKS['in']", shown)
    assert good["secret"] not in str(found)
