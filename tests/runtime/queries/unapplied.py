"""Have migrations of Roost that nobody has applied yet."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader


def migrations(monkeypatch: pytest.MonkeyPatch, names: Iterable[str]) -> None:
    """Let migrations that do nothing follow the last one, each the one before it, as files of these names would."""
    load = MigrationLoader.load_disk

    def load_more(loader: MigrationLoader) -> None:
        load(loader)
        last = max(name for app, name in loader.disk_migrations if app == "roost")
        for name in names:
            loader.disk_migrations["roost", name] = one = Migration(name, "roost")
            one.dependencies, last = [("roost", last)], name

    monkeypatch.setattr(MigrationLoader, "load_disk", load_more)
