"""A product's own app beside Roost: its rows show what an atomic step committed."""

from __future__ import annotations

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """The tests' own tables."""

    name = "tests.ledger"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
