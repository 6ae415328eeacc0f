"""Set the suite up: where its files live, and what junit.xml tells of each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.crash.watch import watching

WATCHED = {"operations", "worker", "management", "console"}

hypothesis_settings.register_profile(
    "roost",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "roost"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write each test's scenarios and database into junit.xml."""
    database = "sqlite" if "sqlite" in settings.DATABASES["default"]["ENGINE"] else "postgresql"
    for item in items:
        item.user_properties.append(("database", database))
        for marker in item.iter_markers("scenario"):
            item.user_properties.extend(("scenario", name) for name in marker.args)


@pytest.fixture(scope="session", autouse=True)
def test_folder() -> Iterator[None]:
    """Give this process a folder for its database and artifacts, gone with the run."""
    settings.TEST_FOLDER.mkdir(parents=True, exist_ok=True)
    yield
    shutil.rmtree(settings.TEST_FOLDER, ignore_errors=True)


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
