"""The model needs no database: it is explored in the run on SQLite alone."""

from __future__ import annotations

from django.conf import settings

ON_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]
collect_ignore = [] if ON_SQLITE else ["test_model.py"]
