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
        """Register the system checks, let triggers and webhook targets follow items, and begin to tell of them."""
        from runtime import checks, tracing
        from runtime.operations import notifying, triggering
        from runtime.store import triggered

        checks.register_all()
        triggered.connect(triggering, notifying)
        tracing.start()
