"""Set the suite up: where its files live, and what junit.xml tells of each test."""

from __future__ import annotations

import gc
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

from runtime.store import get_store
from tests import emptying
from tests.crash.watch import watching

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}
NO_DATABASE = ("once", "plain")
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

    What the other database's run has is left out: see `left_to_the_other_run`.
    """
    database = "sqlite" if "sqlite" in settings.DATABASES["default"]["ENGINE"] else "postgresql"
    if left_out := left_to_the_other_run(items, database):
        config.hook.pytest_deselected(items=left_out)
    items[:] = long_ones_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        item.user_properties.append(("database", database))
        for marker in item.iter_markers("scenario"):
            item.user_properties.extend(("scenario", name) for name in marker.args)


def pytest_collection_finish() -> None:
    """Hide from the collector what is loaded by now and stays, and let it look less often at what comes and goes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def left_to_the_other_run(items: list[pytest.Item], database: str) -> list[pytest.Item]:
    """Take what another run is enough for out of the list, and return it.

    That is what is marked `once` or `plain`, on PostgreSQL, and what is marked `matrix`, on SQLite while the suite runs
    on PostgreSQL beside it.
    """
    if database != "sqlite":
        return without(items, *NO_DATABASE)
    return without(items, "matrix") if os.environ.get("ROOST_TEST_BESIDE") else []


def without(items: list[pytest.Item], *marks: str) -> list[pytest.Item]:
    """Take the tests that have one of the marks out of the list, and return them."""
    left_out = [item for item in items if _marked(item, *marks)]
    items[:] = [item for item in items if item not in set(left_out)]
    return left_out


def _marked(item: pytest.Item, *marks: str) -> bool:
    return any(item.get_closest_marker(name) for name in marks)


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
def store_without_points() -> None:
    """Have the store made before a test plans a fault: it would keep its points, and hide what later tests patch."""
    get_store()


@pytest.fixture(autouse=True)
def no_database_in_what_is_run_once(request: pytest.FixtureRequest) -> None:
    """Refuse the marks `once` and `plain` to a test of a database: it would say nothing of the other one."""
    with_database = request.node.get_closest_marker("django_db") or DATABASE_FIXTURES & set(request.fixturenames)
    assert not (_marked(request.node, *NO_DATABASE) and with_database), "a test of a database runs on each"


@pytest.fixture(autouse=True)
def triggers_of_this_test_alone() -> None:
    """Forget the triggers that another test's database had."""
    from runtime.operations import notifying, triggering

    triggering.forget()
    notifying.forget()


@pytest.fixture(autouse=True)
def hints_of_this_test_alone() -> None:
    """Let the test before have its last hints sent: a listener of this one would take them for its own."""
    from runtime import wake

    assert wake.settle(), "hints of an earlier test do not go out"


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
