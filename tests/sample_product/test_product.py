"""A product that has its own user, admin site, policy, databases, cluster and channels is the same with Roost in it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.sample_product.drive import ORDERS
from tests.sample_product.lines import ROOT, block, under

HERE = Path(__file__).resolve().parent
PAGE = "docs/how-to/add-to-your-product.md"
API_PAGE = "docs/how-to/api.md"
DRIVE = str(HERE / "drive.py")
OURS = ["runtime", "engines", "console"]

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Give a copy of the product."""
    target = tmp_path / "shop"
    shutil.copytree(HERE / "product", target, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    return target


def python(shop: Path, *arguments: str) -> None:
    """Run a script in the product's folder, warnings as errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "DJANGO_", "DATABASE"))}
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(
        command, cwd=shop, env={**kept, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def append(file: Path, lines: str) -> None:
    """Write lines at the end of a file, as the documentation has it."""
    file.write_text(f"{file.read_text()}\n{lines}")


def add_roost(shop: Path) -> None:
    """Add the documented lines, and what its programmers write with Roost."""
    append(shop / "shop_site/settings.py", block(PAGE, "At the end of your settings:"))
    append(shop / "shop_site/urls.py", under(PAGE, "URLs and ASGI", "python")[0])
    file, route = shop / "shop_site/asgi.py", under(PAGE, "URLs and ASGI", "python")[1]
    file.write_text(file.read_text().replace("\napplication = ", f"\n{route}\napplication = "))
    mounted, api = under(API_PAGE, "In an API of your own", "python")[0], shop / "shop_site/api.py"
    api.write_text(api.read_text().replace("\nroutes = api.urls", f"\n{mounted}\nroutes = api.urls"))
    (shop / "billing/orders.py").write_text(under(PAGE, "Enqueue", "python")[0])
    (shop / "billing/engines.py").write_text(under(PAGE, "Write steps that write rows", "python")[0])
    shutil.copytree(HERE / "with_roost", shop, dirs_exist_ok=True)


def asked(file: Path, sql: str) -> list[Any]:
    """Return what a database answers."""
    with closing(sqlite3.connect(file)) as database:
        return database.execute(sql).fetchall()


def tables(shop: Path) -> dict[str, list[Any]]:
    """Return how everything in each database is made that is not Roost's."""
    made = "SELECT name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'roost%' ORDER BY name"
    return {name: asked(shop / name, made) for name in ("shop.sqlite3", "reports.sqlite3")}


def roosts(shop: Path, database: str) -> list[str]:
    """Name the tables in a database that are Roost's."""
    return [name for (name,) in asked(shop / database, "SELECT name FROM sqlite_master WHERE name LIKE 'roost%'")]


def bought(shop: Path) -> list[Any]:
    """Return the rows of the product's own tables."""
    return [asked(shop / "shop.sqlite3", f"SELECT * FROM billing_{name} ORDER BY id") for name in ("order", "invoice")]


def settings(shop: Path, when: str) -> dict[str, Any]:
    """Return the settings that a run of the product had at its end."""
    found: dict[str, Any] = json.loads((shop / f"{when}.json").read_text())
    return found


def test_a_product_is_the_same_with_roost_in_it_and_after_it(shop: Path) -> None:
    python(shop, DRIVE, "before")
    before = tables(shop)
    written = {file: file.read_text() for file in shop.rglob("*.py")}

    add_roost(shop)
    python(shop, DRIVE, "with")
    _settings_differ_by_the_documented_lines_alone(settings(shop, "before"), settings(shop, "with"))
    assert tables(shop) == before
    assert "roost_workitem" in roosts(shop, "shop.sqlite3")
    assert roosts(shop, "reports.sqlite3") == []
    kept = bought(shop)
    assert [len(rows) for rows in kept] == [2 + ORDERS, ORDERS]

    for file, text in written.items():
        file.write_text(text)
    python(shop, DRIVE, "after")
    assert settings(shop, "after") == settings(shop, "before")
    assert tables(shop) == before
    assert [rows[: 2 + ORDERS] for rows in bought(shop)] == kept


def _settings_differ_by_the_documented_lines_alone(before: dict[str, Any], after: dict[str, Any]) -> None:
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"INSTALLED_APPS", "STORAGES", "ROOST_ENGINES"}
    assert after["INSTALLED_APPS"] == OURS + before["INSTALLED_APPS"]
    assert after["STORAGES"] == {**before["STORAGES"], "roost_artifacts": after["STORAGES"]["roost_artifacts"]}
