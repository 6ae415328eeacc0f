"""Serve the demo product's pages to a WSGI server, without live updates."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "roost_project.settings")

application = get_wsgi_application()
