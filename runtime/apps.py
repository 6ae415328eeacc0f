"""Configure the durable core."""

from __future__ import annotations

from django.apps import AppConfig


class RuntimeConfig(AppConfig):
    """Roost's durable core: models, stores, operations and workers."""

    name = "runtime"
    label = "roost"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Roost"

    def ready(self) -> None:
        """Register the system checks."""
        from runtime import checks

        checks.register_all()
