"""Give each test of the store's contract two workers and the store of the database that the suite runs on."""

from __future__ import annotations

import pytest
from django.conf import settings

from runtime.store import get_store
from runtime.store.base import Store
from tests.contracts.builders import Hand

ON_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]
# What holds on one database alone is collected there alone.
ON_POSTGRES = [
    "test_console_plans.py",
    "test_quota_interleavings.py",
    "test_item_page_plans.py",
    "test_journal_interleavings.py",
    "test_postgres_store.py",
    "test_prune_plans.py",
    "test_read_plans.py",
    "test_store_claim_interleavings.py",
    "test_store_exempt_rows.py",
    "test_store_front.py",
    "test_store_interleavings.py",
    "test_store_long_transactions.py",
    "test_store_outgrown_plans.py",
    "test_store_plans.py",
    "test_store_roomy.py",
    "test_store_waiting_plans.py",
    "test_store_waiting_races.py",
]
collect_ignore = ON_POSTGRES if ON_SQLITE else ["test_portable_store.py"]


@pytest.fixture
def store(db: None) -> Store:
    """Return the store under test."""
    return get_store()


@pytest.fixture
def worker(db: None) -> Hand:
    """Return a worker."""
    return Hand()


@pytest.fixture
def other(db: None) -> Hand:
    """Return another worker."""
    return Hand()
