"""Every mutation can be made, and every guarantee that the documentation names has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.__main__ import table
from tests.mutants.mutants import GUARANTEES, MUTANTS, Mutant

pytestmark = pytest.mark.plain

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
    broken = {one.guarantee for one in MUTANTS}
    assert broken <= headings
    assert list(GUARANTEES) == list(range(1, 11))
    assert set(GUARANTEES.values()) <= broken


def test_the_table_names_each_guarantee_by_its_number_and_counts_what_survived() -> None:
    told = table([(MUTANTS[0], True), (MUTANTS[1], False)])
    assert f"|  1 | {MUTANTS[0].guarantee:37} | 1 of 2  |" in told
    assert "| 10 | JSON only" in told
