"""Every mutation can be made, and every guarantee that the documentation names has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
PROMISES = ROOT / "docs/explanation/guarantees.md"


@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{one.name}, {one.database}" for one in MUTANTS])
def test_a_mutations_text_stands_in_its_file_once_and_its_tests_exist(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / file).read_text()


def test_each_guarantee_that_is_documented_has_a_mutation() -> None:
    headings = set(re.findall(r"^## (.+)$", PROMISES.read_text(), re.MULTILINE))
    assert {one.guarantee for one in MUTANTS} <= headings
    assert len({one.guarantee for one in MUTANTS}) == 10
