"""Every write has its points: a new one without is found by the tests of whatever makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import faults
from runtime.models import WorkItem
from runtime.operations.cancel import cancel
from runtime.store import get_store
from tests.contracts.builders import put
from tests.crash.watch import ROOT, Watch, watching

pytestmark = pytest.mark.django_db
OPERATION = """
def rename(item):
    from runtime.models import WorkItem
    WorkItem.objects.filter(pk=item).update(step_label="renamed")
"""
METHOD = """
def relabel(store, item):
    from django.db import connections
    with connections[store.using].cursor() as cursor:
        cursor.execute("UPDATE roost_workitem SET step_label = 'relabelled'")
"""


def planted(source: str, file: str) -> dict[str, object]:
    """Run source code as if it stood in a file of Roost's."""
    names: dict[str, object] = {}
    exec(compile(source, str(ROOT / file), "exec"), names)  # noqa: S102 - written above
    return names


def found(watch: Watch) -> list[tuple[str, str]]:
    """Take what was found out of the watch, so that the suite's own does not complain too."""
    told = [(one.table, one.where.split(":")[0]) for one in watch.found]
    watch.found.clear()
    return told


@pytest.mark.parametrize(
    ("source", "file", "name"),
    [(OPERATION, "runtime/operations/rename.py", "rename"), (METHOD, "runtime/store/postgres/__init__.py", "relabel")],
)
def test_an_operation_or_a_method_of_the_store_that_writes_at_no_point_is_found(
    source: str, file: str, name: str
) -> None:
    item = put()
    with watching() as watch:
        write = planted(source, file)[name]
        write(*([get_store(), item] if name == "relabel" else [item]))  # type: ignore[operator]
    assert found(watch) == [("roost_workitem", file)]


def test_the_same_write_at_a_point_is_fine() -> None:
    item = put()
    with watching() as watch, faults.around("rule"):
        planted(OPERATION, "runtime/operations/rename.py")["rename"](item)  # type: ignore[operator]
    assert found(watch) == []


def test_what_a_store_does_under_a_place_and_what_a_test_writes_itself_is_fine() -> None:
    item = put()
    with watching() as watch:
        cancel(item)
        WorkItem.objects.filter(pk=item).update(step_label="by the test")
    assert found(watch) == []


def test_every_point_is_named_where_it_is() -> None:
    """A place that nothing reaches any more would be tested for ever without being passed."""
    code = "".join(path.read_text() for folder in ("runtime", "console") for path in Path(ROOT / folder).rglob("*.py"))
    methods = set(dir(get_store()))
    asleep = [
        place
        for place in faults.PLACES
        if place not in methods and f'around("{place}")' not in code and f'reach("{place}.' not in code
    ]
    assert asleep == []
