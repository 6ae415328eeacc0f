"""The checks of settings find what they are for, and say what to type."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from runtime import checks
from runtime.checks import configuration
from tests.runtime.checks.found import only

HERE = "tests.runtime.operations.sample"


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
