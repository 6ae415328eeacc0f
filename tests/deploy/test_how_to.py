"""The page on deployment names what there is."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands, load_command_class

from runtime.queries.doctor_postgres import SETTLE_SQL
from tests.contracts.test_docs import commands
from tests.deploy.files import ROOT, environment_names

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(deploy/[\w./-]+|constraints[\w-]*\.txt)`", PAGE))))
def test_every_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_command_that_it_names_is_there() -> None:
    assert set(re.findall(r"manage\.py (\w+)", PAGE)) <= get_commands().keys()
    ours = {
        name.split()[0] for name in commands(load_command_class("runtime", "roost").create_parser("manage.py", "roost"))
    }
    named = set(re.findall(r"(?:manage\.py |`)roost ([a-z]+)\b", PAGE))
    assert {"preflight", "doctor", "verify", "prune"} <= named <= ours


def test_every_variable_that_it_names_is_read() -> None:
    assert set(re.findall(r"\bROOST_[A-Z_]+", PAGE)) <= environment_names()


def test_after_a_restore_it_says_what_the_doctor_says() -> None:
    [sql] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert tuple(sql.strip().splitlines()) == SETTLE_SQL
