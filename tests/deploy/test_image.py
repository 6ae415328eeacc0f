"""The image: what it is made of is there, it runs as nobody in particular, and says truly whether it is well."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import resolve
from uvicorn.main import main as uvicorn

from deploy import healthcheck
from roost_project.console import free_port
from roost_project.environment import listed
from tests.deploy.files import PORT, ROOT, environment_names, instructions, option, told

COPIED = [line.split() for line in told("COPY") if "--from" not in line]
COMMAND: list[str] = json.loads(told("CMD")[-1])


def test_what_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {name for *names, _target in COPIED for name in names}
    assert sources == sent
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_the_image_installs_nothing_that_was_not_checked() -> None:
    [install] = [line for line in told("RUN") if "pip install" in line]
    words = shlex.split(install)
    assert "--require-hashes" in words
    assert option(words, "-r") == "/tmp/constraints-production.txt"  # noqa: S108
    assert ["constraints-production.txt", "/tmp/"] in COPIED  # noqa: S108


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret() -> None:
    names = [name for name, _rest in instructions()]
    assert told("USER") == ["roost"]
    assert names.index("USER") < names.index("CMD")
    given = dict(word.split("=", 1) for line in told("ENV") for word in shlex.split(line))
    ours = {name for name in given if name.startswith("ROOST_")}
    assert ours <= environment_names()
    assert ours.isdisjoint({"ROOST_SECRET_KEY", "ROOST_DATABASE_URL", "ROOST_METRICS_TOKEN", "ROOST_API_LINK_KEY"})
    assert given["ROOST_DEPLOYED"] == "1"


def test_the_image_serves_the_product_on_the_port_that_it_names() -> None:
    assert COMMAND[:3] == ["python", "-m", "uvicorn"]
    module, _, name = COMMAND[3].partition(":")
    assert f"{module}.{name}" == settings.ASGI_APPLICATION.replace("tests.settings", "roost_project")
    assert callable(getattr(import_module(module), name))
    known = {word for one in uvicorn.params for word in (*one.opts, *one.secondary_opts)}
    assert {word for word in COMMAND[4:] if word.startswith("--")} <= known
    assert "--no-access-log" in COMMAND, "links to files stand in addresses"
    assert told("EXPOSE") == [str(PORT)] == [option(COMMAND, "--port")]


def test_health_is_asked_where_it_is_told() -> None:
    url = urlsplit(healthcheck.URL)
    assert url.port == PORT
    assert resolve(url.path).view_name == "roost:ready"
    [check] = told("HEALTHCHECK")
    assert json.loads(check.partition(" CMD ")[2]) == ["python", "deploy/healthcheck.py"]


@pytest.mark.parametrize(
    ("allowed", "name"),
    [
        ("roost.example.com,other.example.com", "roost.example.com"),
        (".example.com", "example.com"),
        (" ,roost.example.com", "roost.example.com"),
        ("*", "127.0.0.1:8000"),
        ("*,roost.example.com", "roost.example.com"),
        ("", "127.0.0.1:8000"),
    ],
)
def test_health_is_asked_under_a_name_that_is_allowed(allowed: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_ALLOWED_HOSTS", allowed)
    assert healthcheck.name_of("127.0.0.1:8000") == name
    hosts = listed("ROOST_ALLOWED_HOSTS") if allowed else ["127.0.0.1"]
    assert validate_host(split_domain_port(name)[0], hosts)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Do the Dockerfile's steps by hand in an empty folder, with the packages that are here; give the folder."""
    root = tmp_path / "image"
    for *sources, target in COPIED:
        for name in sources:
            if name.startswith("constraints"):
                continue
            place = root / (name if target.startswith("./") else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    [line] = [line for line in told("RUN") if "collectstatic" in line]
    done = run(root, ["sh", "-c", line.replace("python ", f"{shlex.quote(sys.executable)} ")])
    assert done.returncode == 0, done.stderr
    return root


def run(root: Path, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the image, with nothing of this checkout on its path."""
    return subprocess.run(
        command, cwd=root, env=variables(root, **more), check=False, capture_output=True, text=True, timeout=60
    )


def variables(root: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process in the image."""
    own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return own | {
        "DJANGO_SETTINGS_MODULE": "roost_project.settings",
        "ROOST_DEPLOYED": "1",
        "ROOST_STATIC_ROOT": str(root / "static"),
        "ROOST_ALLOWED_HOSTS": "roost.example.com",
        **more,
    }


@pytest.fixture
def served(image: Path) -> Iterator[tuple[Path, int, subprocess.Popen[bytes]]]:
    """Serve the image by its own command, on a port of this machine alone; give folder, port and process."""
    deployed = {"ROOST_SECRET_KEY": "k" * 60 + "0123456789"}
    migrated = run(image, [sys.executable, "manage.py", "migrate", "--verbosity", "0"], **deployed)
    assert migrated.returncode == 0, migrated.stderr
    port = free_port(0)
    command = [sys.executable, *COMMAND[1:]]
    for name, value in {"--host": "127.0.0.1", "--port": str(port), "--workers": "1"}.items():
        command[command.index(name) + 1] = value
    process = subprocess.Popen(command, cwd=image, env=variables(image, **deployed), stderr=subprocess.PIPE)
    try:
        assert any(b"running on" in line for line in process.stderr or ())
        yield image, port, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif("postgresql" in settings.DATABASES["default"]["ENGINE"], reason="it brings a database of its own")
def test_the_images_steps_make_a_server_that_is_well_and_stops_when_told(
    served: tuple[Path, int, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, port, process = served
    assert list((root / "static").glob("roost/live.*.js")) != []
    monkeypatch.setenv("ROOST_ALLOWED_HOSTS", "roost.example.com")
    url = f"http://127.0.0.1:{port}/roost/health/ready"
    assert healthcheck.main([url]) == 0
    assert healthcheck.main([url.replace("ready", "nothing")]) == 1
    process.send_signal(signal.SIGTERM)
    # uvicorn ends by the signal that told it to, after it has ended well.
    assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    assert healthcheck.main([url]) == 1
