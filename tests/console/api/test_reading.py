"""Whatever a request reads has a time limit, and costs one round trip a statement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import items, values
from runtime.store.postgres import session
from tests.console.api import world
from tests.console.api.conftest import Api, problem
from tests.console.api.world import Route, ask, closed, furnish
from tests.console.roles import MODELS
from tests.factories import ArtifactFactory, EventFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.scenario("S10"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no time limit of a statement"),
]


@pytest.fixture(params=["by the client", "by the server"])
def binding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have parameters put into statements, or sent beside them."""
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", request.param == "by the server")
        connection.close()
        yield
    connection.close()


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Keep everybody else from reading a table."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        other.close()


def timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


def test_a_statement_that_takes_too_long_is_ended(
    binding: None, api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(*args: Any, **options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.execute("SELECT pg_sleep(%s)", [20])

    before = timeout()
    monkeypatch.setattr(items, "page", sleep)
    settings.ROOST_API_STATEMENT_MS = 50
    problem(api.get("/work-items"), 503, "too_slow")
    assert timeout() == before


def test_looking_up_a_token_is_ended_too(binding: None, api: Api, settings: Any) -> None:
    settings.ROOST_API_STATEMENT_MS = 50
    with locked("roost_api_token"):
        problem(api.get("/work-items"), 503, "too_slow")


def test_a_result_is_two_statements_without_a_transaction(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    item = enqueue("counter", {"count_to": 1}).pk
    assert api.get(f"/work-items/{item}/result").status_code == 202
    within: list[int] = []
    send = session.rows_within

    def note(using: str, statement: str, params: Any, milliseconds: int) -> Any:
        within.append(milliseconds)
        return send(using, statement, params, milliseconds)

    monkeypatch.setattr(session, "rows_within", note)
    with CaptureQueriesContext(connection) as queries:
        assert api.get(f"/work-items/{item}/result").status_code == 202
    assert queries.captured_queries == []
    assert within == [5_000, 5_000]
    assert timeout() != "5s", "the limit is gone with the statement"


def test_a_limited_read_beside_a_lock_is_ended_in_time_and_leaves_the_session_usable(api: Api, settings: Any) -> None:
    item = enqueue("counter", {"count_to": 1}).pk
    before = timeout()
    assert api.get(f"/work-items/{item}/result").status_code == 202
    settings.ROOST_API_STATEMENT_MS = 50
    with locked("roost_workitem"):
        problem(api.get(f"/work-items/{item}/result"), 503, "too_slow")
    assert timeout() == before
    settings.ROOST_API_STATEMENT_MS = 5_000
    assert api.get(f"/work-items/{item}/result").status_code == 202


def test_a_query_may_still_say_how_its_transaction_is_isolated(binding: None, api: Api) -> None:
    item = enqueue("counter", {"count_to": 1}).pk
    assert api.get(f"/work-items/{item}/verify").status_code == 200


def test_rows_that_are_read_by_a_cursor_on_the_server_are_those_that_were_asked_for(
    binding: None, api: Api, settings: Any
) -> None:
    item = enqueue("counter", {"count_to": 1})
    EventFactory.create_batch(250, work_item=item)
    found = api.get(f"/work-items/{item.pk}/export")
    assert found.status_code == 200, found.content
    assert [event["seq"] for event in found.json()["events"]] == list(range(1, 252))


def test_such_a_read_is_ended_too_when_it_takes_too_long(binding: None, api: Api, settings: Any) -> None:
    item = enqueue("counter", {"count_to": 1})
    settings.ROOST_API_STATEMENT_MS = 50
    with locked("roost_event"):
        problem(api.get(f"/work-items/{item.pk}/export"), 503, "too_slow")


# Every route --------------------------------------------------------------------------------------------------------

ROUTES = {route.name: route for route in closed()}
READ_NOTHING = {"listEngines", "getEngine"}
"""What they tell is in the process."""
ONE_STATEMENT = {"enqueueWorkItem", "enqueueWorkItems"}
"""One item is one statement without a transaction: it bounds its waits for rows, not those for a whole table."""
IN_TIME = 5.0
"""Seconds within which every route answers, when each of its statements has a twentieth of one."""


@pytest.fixture
def short(settings: Any) -> Iterator[None]:
    """Give every statement of Roost's a twentieth of a second, and all others, which nobody bounds, many."""
    settings.ROOST_API_STATEMENT_MS = settings.ROOST_LOCK_TIMEOUT_MS = settings.ROOST_STATEMENT_TIMEOUT_MS = 50
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20s'")
    yield
    connection.close()


@contextmanager
def unbounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note the statements on Roost's tables that reach the driver outside of any transaction and without a limit."""
    found: list[str] = []
    send = CursorWrapper._execute

    def note(cursor: CursorWrapper, sql: str, params: Any, *ignored: Any) -> Any:
        limited = connection.in_atomic_block or sql.startswith("SELECT set_config('statement_timeout'")
        if not limited and "roost_" in sql:
            found.append(sql)
        return send(cursor, sql, params, *ignored)

    with monkeypatch.context() as patched:
        patched.setattr(CursorWrapper, "_execute", note)
        yield found


@pytest.mark.slow
def test_every_route_answers_in_time_while_somebody_keeps_the_tables_locked(
    api: Api, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = furnish()
    api.get("/engines")  # notes that the token was used
    file = ArtifactFactory(work_item=item)
    monkeypatch.setattr(world, "_file", lambda *_: str(file.pk))
    tables = [model._meta.db_table for name, model in MODELS.items() if name != "apitoken"]
    told: dict[str, tuple[int, bool]] = {}
    with locked(", ".join(tables)):
        for name, route in ROUTES.items():
            if name in ONE_STATEMENT:
                continue
            begun = time.monotonic()
            told[name] = _status(api, route, item), time.monotonic() - begun < IN_TIME
    wanted = {name: (200 if name in READ_NOTHING else 503, True) for name in told}
    assert {name: one for name, one in told.items() if one != wanted[name]} == {}


def _status(api: Api, route: Route, item: WorkItem) -> int:
    """Return the status of the answer; a stream, which has begun to answer before it reads, is cut off."""
    try:
        return int(ask(api, route, item).status_code)
    except OperationalError:
        if route.name != "streamEvents":
            raise
        return 503


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUTES)
def test_no_statement_of_a_route_is_without_a_limit(name: str, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    route, item = ROUTES[name], furnish()
    file = ArtifactFactory(work_item=item)
    monkeypatch.setattr(world, "_file", lambda *_: str(file.pk))
    api.get("/engines")  # notes that the token was used
    with unbounded(monkeypatch) as found:
        answers = [ask(api, route, item)]
        if route.method == "POST":
            answers += [ask(api, route, item, idempotency_key="once") for _ in range(2)]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    assert found == [], "\n".join(found)


def test_what_is_read_beside_a_transaction_is_ended_too(
    binding: None, api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(*args: Any, **options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [20])

    before, item = timeout(), enqueue("counter", {"count_to": 1}).pk
    monkeypatch.setattr(values, "read", sleep)
    settings.ROOST_API_STATEMENT_MS = 50
    problem(api.get(f"/work-items/{item}/value/payload"), 503, "too_slow")
    assert timeout() == before
