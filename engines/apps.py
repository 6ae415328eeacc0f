"""Configure the app of engines that come with Roost."""

from __future__ import annotations

from django.apps import AppConfig


class EnginesConfig(AppConfig):
    """The engines that come with Roost."""

    name = "engines"
    label = "roost_engines"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Roost engines"
