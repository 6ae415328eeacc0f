"""Collect what concerns concurrent writers on PostgreSQL only: SQLite has one writer at a time."""

from __future__ import annotations

from django.conf import settings

collect_ignore = ["test_feed_order.py", "test_vacuum.py"] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else []
