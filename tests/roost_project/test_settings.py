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


def test_a_deployment_without_a_key_does_not_start() -> None:
    done = python("import roost_project.settings", ROOST_DEPLOYED="1")
    assert done.returncode == 1
    assert "it has no key: set ROOST_SECRET_KEY" in done.stderr


def test_secrets_may_be_files(tmp_path: Path) -> None:
    given = {}
    for name, value in {
        "SECRET_KEY": "k" * 60,
        "DATABASE_PASSWORD": "p@ss",
        "METRICS_TOKEN": "1234567890123456",
        "API_LINK_KEY": "7" * 40,
    }.items():
        (tmp_path / name).write_text(f"{value}\n")
        given[f"ROOST_{name}_FILE"] = str(tmp_path / name)
    names = ("SECRET_KEY", "DATABASES", "ROOST_METRICS_TOKEN", "ROOST_API_LINK_KEY", "SESSION_COOKIE_SECURE")
    found = settings(*names, ROOST_DATABASE_URL="postgresql://roost@postgres/roost", **given)
    assert found["SECRET_KEY"] == "k" * 60
    assert found["DATABASES"]["default"]["PASSWORD"] == "p@ss"
    assert found["ROOST_METRICS_TOKEN"] == "1234567890123456"
    assert found["ROOST_API_LINK_KEY"] == "7" * 40
    assert found["SESSION_COOKIE_SECURE"] is True


def test_how_long_browsers_insist_on_https_can_be_chosen() -> None:
    names = ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD", "SECRET_KEY_FALLBACKS")
    chosen = {"ROOST_HSTS_SECONDS": "300", "ROOST_HSTS_SUBDOMAINS": "0", "ROOST_HSTS_PRELOAD": "0"}
    assert list(settings(*names, **DEPLOYMENT).values()) == [365 * 24 * 3600, True, True, []]
    found = settings(*names, **DEPLOYMENT, **chosen, ROOST_SECRET_KEY_FALLBACKS="old,older")
    assert list(found.values()) == [300, False, False, ["old", "older"]]


ANSWERS = """
import django; django.setup()
from django.test import Client
def told(path, **more):
    answer = Client(headers={"host": "roost.example"}).get(path, **more)
    names = ("Location", "Content-Security-Policy", "X-Frame-Options")
    return answer.status_code, *(answer.get(name) for name in names)
print(told("/roost/health/live"), told("/roost/metrics"), told("/roost/metrics", secure=True), sep="\\n")
"""


def test_a_deployment_sends_to_https_but_for_health_and_tells_browsers_to_run_nothing_of_agents(tmp_path: Path) -> None:
    given = {**DEPLOYMENT, "DJANGO_SETTINGS_MODULE": "roost_project.settings", "ROOST_STATIC_ROOT": str(tmp_path)}
    done = python(ANSWERS, **given)
    assert done.returncode == 0, done.stderr
    health, plain, secure = done.stdout.splitlines()
    assert health.startswith("(200, None, ")
    assert plain.startswith("(301, 'https://roost.example/roost/metrics', ")
    assert secure.startswith("(401, None, \"default-src 'none'; script-src 'self'; ")
    assert secure.endswith("'DENY')")


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


def test_log_lines_are_text_unless_the_environment_says_json() -> None:
    code = (
        "import django, logging; django.setup();"
        "logging.getLogger('roost.items').warning('moved', extra={'work_item': 'a b'})"
    )
    text = python(code, DJANGO_SETTINGS_MODULE="roost_project.settings")
    assert text.stderr.endswith('WARNING roost.items moved work_item="a b"\n'), text.stderr
    line = json.loads(python(code, DJANGO_SETTINGS_MODULE="roost_project.settings", ROOST_LOG_FORMAT="json").stderr)
    assert (line["message"], line["work_item"]) == ("moved", "a b")
    refused = python(code, DJANGO_SETTINGS_MODULE="roost_project.settings", ROOST_LOG_FORMAT="xml")
    assert "ROOST_LOG_FORMAT is 'xml'; write text or json." in refused.stderr
