"""What users install: three packages with all that belongs to them, and nothing of the demo product."""

from __future__ import annotations

import zipfile

import pytest

from tests.wheel import PACKAGES, ROOT, build

pytestmark = pytest.mark.plain


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel, and list its files."""
    return set(zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel"))).namelist())


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/", 1)[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_file_of_the_packages(wheel: set[str]) -> None:
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    ours = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert sorted(ours - wheel) == []
