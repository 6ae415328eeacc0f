"""Run the demo once: it has a SQLite database of its own, whatever the suite runs on."""

from __future__ import annotations

from django.conf import settings

collect_ignore = [] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else ["test_roost_demo.py"]
