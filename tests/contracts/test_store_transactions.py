"""Transactions of the store: begun right, retried whole, never inside somebody else's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from runtime.models import WorkItem
from runtime.store import transactions
from runtime.store.transactions import begin, is_retryable, retried, transacted
from tests.contracts.builders import new_item, put, undone


class Undone(Exception):
    """What the driver raises when a transaction is undone for others' sake."""

    def __init__(self, sqlstate: str = "", sqlite_errorcode: int = 0) -> None:
        super().__init__("undone")
        self.sqlstate = sqlstate
        self.sqlite_errorcode = sqlite_errorcode


def error_of(cause: Exception) -> OperationalError:
    """Return the error as Django raises it."""
    error = OperationalError("undone")
    error.__cause__ = cause
    return error


def failing(times: int, error: Exception) -> tuple[Callable[[], int], list[int]]:
    """Return work that fails so many times before it succeeds, and the list of its calls."""
    calls: list[int] = []

    def work() -> int:
        calls.append(len(calls) + 1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work, calls


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retry at once."""
    monkeypatch.setattr(transactions, "PAUSE_SECONDS", 0.0)
    return


@pytest.mark.parametrize(
    "cause",
    [
        Undone("40P01"),
        Undone("40001"),
        Undone(sqlite_errorcode=sqlite3.SQLITE_BUSY),
        Undone(sqlite_errorcode=sqlite3.SQLITE_BUSY | 2 << 8),
        Undone(sqlite_errorcode=sqlite3.SQLITE_LOCKED),
    ],
)
@pytest.mark.scenario("L46")
@pytest.mark.django_db(transaction=True)
def test_what_was_undone_for_others_is_run_again(cause: Undone) -> None:
    work, calls = failing(3, error_of(cause))
    assert retried("default", work) == 4
    assert calls == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_the_last_attempt_tells_its_error() -> None:
    work, calls = failing(100, error_of(Undone("40P01")))
    with pytest.raises(OperationalError):
        retried("default", work)
    assert len(calls) == transactions.ATTEMPTS


@pytest.mark.parametrize("error", [error_of(Undone("55P03")), error_of(Undone("57014")), IntegrityError("x")])
@pytest.mark.django_db(transaction=True)
def test_other_errors_are_not_retried(error: Exception) -> None:
    work, calls = failing(1, error)
    with pytest.raises(type(error)):
        retried("default", work)
    assert calls == [1]
    assert not is_retryable(error)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_retried_inside_a_callers_transaction() -> None:
    work, calls = failing(1, error_of(Undone("40P01")))
    with transaction.atomic(), pytest.raises(OperationalError):
        transacted("default", work)
    assert calls == [1]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_retried_begins_anew() -> None:
    inside: list[bool] = []

    def work() -> None:
        inside.append(connection.in_atomic_block)
        put()
        if len(inside) < 3:
            raise error_of(Undone("40001"))

    transacted("default", work)
    assert inside == [True, True, True]
    assert WorkItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_inside_a_callers_transaction_a_failure_undoes_only_its_own_part() -> None:
    with transaction.atomic():
        kept = put()
        with pytest.raises(ZeroDivisionError):
            transacted("default", _insert_and_fail)
    assert list(WorkItem.objects.values_list("pk", flat=True)) == [kept]


def _insert_and_fail() -> None:
    put()
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_a_failed_transaction_leaves_nothing() -> None:
    with pytest.raises(ZeroDivisionError):
        transacted("default", _insert_and_fail)
    undone(put)
    assert not WorkItem.objects.exists()
    assert not connection.in_atomic_block
    assert new_item().id is not None


@pytest.mark.django_db(transaction=True)
def test_begin_gives_the_connection_back_as_it_was() -> None:
    before = getattr(connection, "transaction_mode", None)
    with begin("default"):
        assert connection.in_atomic_block
    assert getattr(connection, "transaction_mode", None) == before
    assert connection.get_autocommit()
