"""The steps that lead to a deployment can be taken, one after the other, where none of what they make is there yet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.db.migrations.loader import MigrationLoader

from tests.deploy.files import DEPLOY, ROOT
from tests.deploy.schemas import faults

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
PLACED = re.compile(r"(?<![\w./])/(?=(?:etc|opt|var)/)")
"""Where a path begins that is of the whole machine."""
TOLD = """#!/bin/sh
echo "$(basename "$0") $*" >> "$STEPS"
"""
KUBECTL = """#!/bin/sh
echo "kubectl $*" >> "$STEPS"
case "$*" in
    "apply -f -") echo --- >> "$STEPS.applied"; cat >> "$STEPS.applied" ;;
    *"{failing}"*) exit 1 ;;
esac
"""
VENV = """#!/bin/sh
# Make an environment as `python3 -m venv` would, whose Python reads lists of packages and installs none.
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
mkdir -p "$3/bin"
cat > "$3/bin/python" <<'END'
#!/bin/sh
if [ "$2" = pip ]; then for last; do :; done; exec test -f "$last"; fi
exec {python} "$@"
END
chmod +x "$3/bin/python"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Give a folder with what a machine has before: the checkout, systemd's folder, and programs to be told only."""
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    (tmp_path / "opt" / "roost").mkdir(parents=True)
    (tmp_path / "opt" / "roost" / "app").symlink_to(ROOT)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("useradd", "systemctl", "systemd-run", "docker"):
        (programs / name).write_text(TOLD)
    (programs / "kubectl").write_text(KUBECTL.format(failing="no step at all"))
    (programs / "python3").write_text(VENV.format(python=sys.executable))
    for program in programs.iterdir():
        program.chmod(0o700)
    return tmp_path


def take(machine: Path, steps: str, folder: Path) -> list[str]:
    """Take the steps to their good end; return what was told to programs that are not run."""
    told = machine / "told"
    own = {name: os.environ[name] for name in ("HOME", "LD_LIBRARY_PATH") if name in os.environ}
    path = f"{machine / 'programs'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", PLACED.sub(f"{machine}/", steps)],
        cwd=folder,
        env=own | {"PATH": path, "STEPS": str(told)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [line.split(maxsplit=1)[0] for line in told.read_text().splitlines()]


def of_section(title: str) -> str:
    """Return the commands of a section of the page, as a shell reads them."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(
        re.sub(r"^\$ ", "", block, flags=re.M) for block in re.findall(r"```console\n(.*?)```", section, re.S)
    )


def job_told(patience: str) -> list[str]:
    """Return what the cluster is told when the job runs something."""
    return [
        "kubectl delete job roost-migrate --ignore-not-found",
        "kubectl apply -f -",
        f"kubectl wait --for=condition=complete --timeout={patience} job/roost-migrate",
    ]


def test_the_steps_with_systemd_can_be_taken(machine: Path) -> None:
    steps = of_section("With systemd")
    run = ["useradd", "systemctl", "systemd-run", "systemd-run", "systemctl", "systemd-run"]
    assert take(machine, steps, machine) == run
    told = (machine / "told").read_text()
    assert re.findall(r"manage\.py (.*)", told) == ["migrate", "createsuperuser", "roost doctor"]
    environment = machine / "etc" / "roost" / "roost.env"
    assert environment.stat().st_mode & 0o777 == 0o600
    assert told.count(f"EnvironmentFile={environment}") == run.count("systemd-run")
    units = {path.name for path in (DEPLOY / "systemd").iterdir()}
    assert {path.name for path in (machine / "etc" / "systemd" / "system").iterdir()} == units
    assert list((machine / "opt" / "roost" / "static").glob("roost/live.*.js"))


def test_the_steps_at_the_head_of_the_compose_file_can_be_taken(machine: Path) -> None:
    folder = machine / "deploy"
    folder.mkdir()
    for name in ("compose.yaml", "roost.env.example"):
        shutil.copy(DEPLOY / name, folder)
    head = (DEPLOY / "compose.yaml").read_text().partition("\nname:")[0]
    steps = "\n".join(line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   "))
    assert take(machine, steps, folder) == ["docker", "docker"]
    assert (folder / "roost.env").is_file()
    kept = {path.name: path.read_text().strip() for path in (folder / "secrets").iterdir()}
    assert kept.keys() == {"secret_key", "postgres"}
    assert len(set(kept.values())) == 2
    assert all(len(key) > 50 for key in kept.values())


def test_a_step_that_cannot_be_taken_is_seen(machine: Path) -> None:
    with pytest.raises(AssertionError, match="cannot create regular file"):
        take(machine, of_section("With systemd").replace("install -D", "install"), machine)


def test_the_steps_of_a_release_with_kubernetes_can_be_taken(machine: Path) -> None:
    assert set(take(machine, of_section("With Kubernetes"), ROOT)) == {"kubectl"}
    told = (machine / "told").read_text().splitlines()
    release = told.index("kubectl delete job roost-migrate --ignore-not-found")
    assert told[release:] == [
        *job_told("10m"),
        *job_told("2m"),
        "kubectl apply -f deploy/kubernetes/worker.yaml",
        "kubectl rollout status deployment/roost-worker",
        "kubectl apply -f deploy/kubernetes/web.yaml",
        "kubectl rollout status deployment/roost-web",
        *job_told("10m"),
        "kubectl exec deploy/roost-web -- python manage.py roost doctor",
    ]


def test_beside_old_pods_the_job_of_a_release_runs_no_migration_that_they_cannot_stand(machine: Path) -> None:
    take(machine, of_section("With Kubernetes"), ROOT)
    jobs = [job for job in yaml.safe_load_all((machine / "told.applied").read_text()) if job]
    commands = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in jobs]
    [*_, number] = commands[0]
    assert commands == [["migrate", "--no-input", "roost", number], ["roost", "preflight"], ["migrate", "--no-input"]]
    loader = MigrationLoader(None, ignore_no_migrations=True)
    assert "_pre_" in loader.get_migration_by_prefix("roost", number).name
    for name, *options in commands:
        load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(options)
    as_it_is = yaml.safe_load((DEPLOY / "kubernetes" / "migrate.yaml").read_text())
    for job in jobs:
        assert faults("kubernetes", job) == []
        job["spec"]["template"]["spec"]["containers"][0]["args"] = ["migrate", "--no-input"]
        assert job == as_it_is


def test_a_release_with_kubernetes_stops_at_the_preflight_that_finds_something(machine: Path) -> None:
    (machine / "programs" / "kubectl").write_text(KUBECTL.format(failing="--timeout=2m"))
    with pytest.raises(AssertionError):
        take(machine, of_section("With Kubernetes"), ROOT)
    assert (machine / "told").read_text().splitlines()[-1] == "kubectl logs job/roost-migrate"
