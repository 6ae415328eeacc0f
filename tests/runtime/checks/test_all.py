"""Every check is run, has a test and a row of the documentation, and finds nothing in the demo product's settings."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings as django_settings
from django.core import checks as django_checks

from runtime import checks
from runtime.checks import configuration, databases, surroundings

DOCUMENTED = Path(django_settings.BASE_DIR) / "docs" / "reference" / "checks.md"
EVERY = (*checks.ALWAYS, *checks.WITH_DATABASE, *checks.AT_DEPLOYMENT)


def test_the_settings_of_the_suite_pass_every_check_that_always_runs() -> None:
    for check in checks.ALWAYS:
        assert check() == [], check.__name__


def test_django_runs_every_check_under_our_tag() -> None:
    ran = django_checks.registry.registry.get_checks(include_deployment_checks=True)
    ours = {check for check in ran if "roost" in getattr(check, "tags", ())}
    assert ours == set(EVERY)


def test_every_check_has_a_test_and_a_row_of_its_name() -> None:
    rows = DOCUMENTED.read_text()
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    for check in EVERY:
        assert f"\ndef test_{check.__name__}(" in tests, check.__name__
        assert f"`{check.__name__}`" in rows
    files = (Path(str(module.__file__)) for module in (configuration, databases, surroundings))
    given = sorted(code for file in files for code in re.findall(r'id="(roost\.[EWI]\d{3})"', file.read_text()))
    assert len(given) == len(set(given)) == len(EVERY)
    assert sorted(re.findall(r"^\| `(roost\.[EWI]\d{3})` ", rows, re.MULTILINE)) == given
