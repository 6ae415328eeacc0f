"""A run without a program does not pass for one with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import programs

pytestmark = pytest.mark.plain

CI = Path(__file__).resolve().parents[1] / ".ci" / "run"


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no program."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("name", sorted(programs.PACKAGES))
def test_without_a_program_tests_are_skipped_and_say_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(programs.NEEDED, raising=False)
    with pytest.raises(
        pytest.skip.Exception, match=f"apt-get install --no-install-recommends {programs.PACKAGES[name]}"
    ):
        programs.program(name)


@pytest.mark.usefixtures("nothing")
def test_where_programs_are_needed_the_absence_of_one_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.NEEDED, "needed")
    with pytest.raises(AssertionError, match="there is no nginx: apt-get install"):
        programs.program("nginx")


def test_where_everything_is_tested_everything_is_installed_and_needed() -> None:
    text = CI.read_text()
    wanted = {f"command -v {name} >/dev/null || missing+=({package}" for name, package in programs.PACKAGES.items()}
    assert {line for line in wanted if line not in text} == set()
    assert f"export {programs.NEEDED}=needed\n" in text


def test_no_service_starts_with_what_is_installed(tmp_path: Path) -> None:
    text = CI.read_text()
    assert re.findall(r"(without_services|DEBIAN_FRONTEND)[^\n]*(?:\\\n[^\n]*)?apt-get install", text) == [
        "without_services"
    ]
    [function] = re.findall(r"^without_services\(\) \(\n.*?^\)\n", text, re.DOTALL | re.MULTILINE)
    policy = tmp_path / "policy-rc.d"
    script = function.replace("/usr/sbin/policy-rc.d", str(policy)) + f"without_services sh -c '{policy}; echo $?'"
    done = subprocess.run(["bash", "-euc", script], check=True, capture_output=True, text=True)
    assert done.stdout == "101\n"
    assert not policy.exists()
