"""What is known against a version is told, and never taken for nothing where nobody could be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import audit
from tests.deploy.files import ROOT

GOOD = {"name": "django", "version": "5.2.1", "vulns": []}
WEAK = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
UNMENDED = {"name": "odd", "version": "2.0", "vulns": [{"id": "PYSEC-2", "fix_versions": [], "aliases": []}]}
SKIPPED = {"name": "lost", "skip_reason": "not found in the index"}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ([GOOD], 0, "1 versions, 0 known weaknesses."),
        ([GOOD, WEAK], 1, "old 1.0: PYSEC-1, mended in 1.1"),
        ([UNMENDED], 1, "odd 2.0: PYSEC-2, mended in no version yet"),
        ([GOOD, SKIPPED], 2, "NOT AUDITED: 1 of 2 versions."),
        ([WEAK, SKIPPED], 2, "old 1.0: PYSEC-1, mended in 1.1"),
        ([], 2, "NOT AUDITED: 0 of 0 versions."),
    ],
)
def test_a_report_is_judged(found: list[Any], code: int, told: str) -> None:
    came, lines = audit.judge({"dependencies": found})
    assert came == code
    assert told in lines


def test_where_nobody_answers_nothing_is_said_to_be_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "install", lambda folder: "")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pip-audit"
    program.write_text("#!/bin/sh\necho cannot connect >&2\nexit 1\n")
    program.chmod(0o700)
    (tmp_path / "report.json").write_text(json.dumps({"dependencies": [GOOD]}))
    assert audit.main(tmp_path) == 2
    told = capsys.readouterr().out
    assert "cannot connect" in told
    assert "NOT AUDITED" in told


def test_what_is_asked_about_is_all_that_is_locked() -> None:
    assert {path.name for path in ROOT.glob("constraints*.txt")} == {*audit.FILES, "constraints-production.txt"}
    assert all((ROOT / name).exists() for name in audit.FILES)
