"""Set the suite up: where its files live, and what junit.xml tells of each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from tests import emptying
from tests.crash.watch import watching

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}
WATCHED = {"operations", "worker", "management", "console"}

hypothesis_settings.register_profile(
    "roost",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "roost"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write each test's scenarios and database into junit.xml, and begin with the tests that take long.

    What is marked `once` is left to the run on SQLite.
    """
    database = "sqlite" if "sqlite" in settings.DATABASES["default"]["ENGINE"] else "postgresql"
    left_out = without_once(items) if database != "sqlite" else []
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = long_ones_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        item.user_properties.append(("database", database))
        for marker in item.iter_markers("scenario"):
            item.user_properties.extend(("scenario", name) for name in marker.args)


def without_once(items: list[pytest.Item]) -> list[pytest.Item]:
    """Take the tests whose subject has no database out of the list, and return them."""
    once = [item for item in items if item.get_closest_marker("once")]
    items[:] = [item for item in items if item not in set(once)]
    return once


def long_ones_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Give each process as many of the long tests, and let it begin with them: they wait side by side, none is last.

    Each of `processes` is handed one piece of the list. The order is that of the list, but for what takes long.
    """
    by_length = sorted(items, key=_length, reverse=True)
    return [item for number in range(processes) for item in by_length[number::processes]]


def _length(item: pytest.Item) -> float:
    """Say how long a test takes, as far as its marks tell: tests that may take longer, slow ones, and the others."""
    allowed = item.get_closest_marker("timeout")
    slow = item.get_closest_marker("slow")
    return (float(allowed.args[0]) if allowed else 1.0) if slow else 0.0


@pytest.fixture(scope="session", autouse=True)
def test_folder() -> Iterator[None]:
    """Give this process a folder for its database and artifacts, gone with the run."""
    settings.TEST_FOLDER.mkdir(parents=True, exist_ok=True)
    yield
    shutil.rmtree(settings.TEST_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the database, once in a process, and have it emptied in our way after each test that commits."""
    with django_db_blocker.unblock():
        for using in connections:
            # Where no test that was chosen says that it needs a database, there is none.
            if set(emptying.KEPT) <= set(connections[using].introspection.table_names()):
                emptying.migrated(using)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty_after)
        yield


@pytest.fixture(autouse=True)
def no_database_in_what_is_run_once(request: pytest.FixtureRequest) -> None:
    """Refuse the mark `once` to a test of a database: it would say nothing of the other one."""
    with_database = request.node.get_closest_marker("django_db") or DATABASE_FIXTURES & set(request.fixturenames)
    assert not (request.node.get_closest_marker("once") and with_database), "a test of a database runs on each"


@pytest.fixture(autouse=True)
def triggers_of_this_test_alone() -> None:
    """Forget the triggers that another test's database had."""
    from runtime.operations import notifying, triggering

    triggering.forget()
    notifying.forget()


@pytest.fixture(autouse=True)
def every_write_at_a_point(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse a write to Roost's tables at which the crash suite could not let a process fail.

    Where operations, workers, commands and the console are tested; tests of the store's parts call what is inside.
    """
    if not WATCHED & set(request.path.parts):
        yield
        return
    with watching() as watch:
        yield
    assert watch.found == set(), "put `with faults.around(…):` around these writes, with a place in runtime/faults.py"
