"""The demo product as the environment makes it: each time in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = {"ROOST_SECRET_KEY": "k" * 60 + "0123456789", "ROOST_ALLOWED_HOSTS": "roost.example"}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code with these variables and none of Roost's or Django's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "DJANGO_", "DATABASE"))}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=kept | environment, check=False, capture_output=True, text=True)


def settings(*names: str, **environment: str) -> dict[str, Any]:
    """Read settings of the demo product in this environment."""
    code = f"import json, roost_project.settings as s; print(json.dumps({{n: getattr(s, n) for n in {names!r}}}))"
    done = python(code, **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_checkout_needs_no_variable_and_serves_this_machine_only() -> None:
    found = settings("DEBUG", "ALLOWED_HOSTS", "DATABASES", "SECURE_SSL_REDIRECT")
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert found["DATABASES"]["default"]["NAME"] == str(ROOT / "db.sqlite3")
    assert found["SECURE_SSL_REDIRECT"] is False


def test_a_deployment_passes_djangos_checks() -> None:
    code = (
        "from django.core.management import execute_from_command_line as run;"
        "run(['manage.py', 'check', '--deploy', '--fail-level', 'WARNING'])"
    )
    done = python(code, DJANGO_SETTINGS_MODULE="roost_project.settings", **DEPLOYMENT)
    assert done.returncode == 0, done.stderr


def test_a_deployments_pages_are_found_over_http_and_websocket() -> None:
    code = (
        "from roost_project.asgi import application; from roost_project.wsgi import application as pages;"
        "print(sorted(application.application_mapping), callable(pages))"
    )
    done = python(code, DJANGO_SETTINGS_MODULE="roost_project.settings")
    assert done.stdout.strip() == "['http', 'websocket'] True", done.stderr


def test_roosts_own_settings_may_come_from_the_environment() -> None:
    assert settings("ROOST_LEASE_SECONDS", ROOST_LEASE_SECONDS="30") == {"ROOST_LEASE_SECONDS": 30}


def test_artifacts_go_to_a_folder_that_has_no_address_or_to_s3() -> None:
    folder = settings("STORAGES")["STORAGES"]["roost_artifacts"]
    assert folder["OPTIONS"] == {"location": str(ROOT / "artifacts"), "base_url": None}
    bucket = settings(
        "STORAGES", ROOST_ARTIFACTS_S3_BUCKET="evidence", ROOST_ARTIFACTS_S3_ENDPOINT_URL="http://127.0.0.1:9000"
    )["STORAGES"]["roost_artifacts"]
    assert bucket["BACKEND"] == "storages.backends.s3.S3Storage"
    assert bucket["OPTIONS"]["bucket_name"] == "evidence"
    assert bucket["OPTIONS"]["endpoint_url"] == "http://127.0.0.1:9000"
    assert bucket["OPTIONS"]["default_acl"] is None


def test_live_updates_go_through_redis_when_there_is_one() -> None:
    layer = settings("CHANNEL_LAYERS", ROOST_REDIS_URL="redis://127.0.0.1:6379/1")["CHANNEL_LAYERS"]["default"]
    assert layer["BACKEND"] == "channels_redis.core.RedisChannelLayer"
    assert layer["CONFIG"]["hosts"] == ["redis://127.0.0.1:6379/1"]


def test_roosts_runworker_stands_before_that_of_channels() -> None:
    apps = settings("INSTALLED_APPS")["INSTALLED_APPS"]
    assert apps.index("runtime") < apps.index("channels")
