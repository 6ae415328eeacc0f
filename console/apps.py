"""Configure the app that shows Roost to people and programs."""

from __future__ import annotations

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Roost's admin, API and live updates."""

    name = "console"
    label = "roost_console"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Roost console"
