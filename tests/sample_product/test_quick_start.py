"""A newcomer types what the README says, and has work done: from the wheel, in an environment with nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sample_product.lines import ROOT, commands, under
from tests.wheel import build

HEADING = "Add it to your product"

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.timeout(600)]


class Newcomer:
    """Somebody with a virtual environment, and no variables but those of pip and the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bins = folder / "environment" / "bin"
        theirs = ("ROOST_", "DJANGO_", "DATABASE", "PYTHON", "VIRTUAL_ENV", "COV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        self.variables = {**kept, "PATH": f"{bins}:{os.environ['PATH']}"}

    def does(self, command: str) -> str:
        """Run a command of the shell, and return what it said."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """Give somebody to whom pip gives the wheel of this checkout, and of everything else the versions tested here."""
    wheel = build(tmp_path / "build")
    tested = re.findall(r"^[\w.-]+==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    ours = f"{wheel.name.split('-')[0]}=={wheel.name.split('-')[1]}"
    (tmp_path / "constraints.txt").write_text("\n".join([*tested, ours]))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "environment")], check=True, capture_output=True)
    somebody = Newcomer(tmp_path)
    links = os.environ.get("PIP_FIND_LINKS", "")
    somebody.variables |= {
        "PIP_CONSTRAINT": str(tmp_path / "constraints.txt"),
        "PIP_FIND_LINKS": f"{wheel.parent} {links}".strip(),
        "PIP_NO_COMPILE": "1",  # most of it is never imported here
    }
    return somebody


def test_the_readmes_commands_do_what_they_say(newcomer: Newcomer) -> None:
    install, *others = commands(under("README.md", HEADING, "console"))
    assert install.startswith("pip install ")
    newcomer.does(install)
    newcomer.does("django-admin startproject shop")
    newcomer.folder /= "shop"
    for file, lines in zip(("settings.py", "urls.py"), under("README.md", HEADING, "python"), strict=True):
        with (newcomer.folder / "shop" / file).open("a") as end:
            end.write(f"\n{lines}")
    said = [newcomer.does(command) for command in others]
    assert len(said) == 5
    assert re.search(r"^[0-9a-f-]{36} .*done.*counter", said[-1], re.MULTILINE)
    where = newcomer.does("python -c 'import runtime.client; print(runtime.__file__)'")
    assert Path(where.strip()).is_relative_to(newcomer.folder.parent / "environment")
