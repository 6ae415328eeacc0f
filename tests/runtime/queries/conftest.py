"""Collect what concerns PostgreSQL only: its concurrent writers, and its own health."""

from __future__ import annotations

from django.conf import settings

POSTGRES_ONLY = ["test_doctor_postgres.py", "test_feed_order.py", "test_vacuum.py"]
collect_ignore = POSTGRES_ONLY if "sqlite" in settings.DATABASES["default"]["ENGINE"] else []
