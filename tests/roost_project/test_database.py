from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from roost_project.database import database_from_url

BASE = Path("/checkout")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://ann:p%40ss@db.example:5433/roost?sslmode=require",
            {"NAME": "roost", "USER": "ann", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": "5433"},
        ),
        ("postgres:///roost", {"NAME": "roost", "USER": "", "PASSWORD": "", "HOST": "", "PORT": ""}),
        (
            "postgresql://ann@/roost?host=/run/postgresql&port=5434",
            {"NAME": "roost", "USER": "ann", "PASSWORD": "", "HOST": "/run/postgresql", "PORT": "5434"},
        ),
        (
            "postgresql://?host=/run/postgresql&dbname=roost&user=ann&password=secret",
            {"NAME": "roost", "USER": "ann", "PASSWORD": "secret", "HOST": "/run/postgresql", "PORT": ""},
        ),
    ],
)
def test_a_postgresql_address_names_server_user_and_database(url: str, expected: dict[str, str]) -> None:
    found = database_from_url(url, BASE)
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert {name: found[name] for name in expected} == expected


def test_a_process_may_keep_its_connections_in_a_pool() -> None:
    found = database_from_url("postgresql://ada@db/roost?pool=20&sslmode=require", BASE)
    assert found["OPTIONS"] == {"pool": {"min_size": 1, "max_size": 20}, "sslmode": "require"}
    for wrong in ("0", "many", "-1"):
        with pytest.raises(ImproperlyConfigured, match="pool=20"):
            database_from_url(f"postgresql://ada@db/roost?pool={wrong}&x=1", BASE)


def test_a_pool_may_be_said_beside_an_address_that_several_kinds_of_processes_read() -> None:
    def pool(url: str, beside: str) -> Any:
        return database_from_url(url, BASE, pool=beside)["OPTIONS"].get("pool", {}).get("max_size")

    assert pool("postgresql://ada@db/roost", "8") == 8
    assert pool("postgresql://ada@db/roost?pool=20", "8") == 20
    assert pool("postgresql://ada@db/roost", "") is None
    assert pool("sqlite:///db.sqlite3", "8") is None
    with pytest.raises(ImproperlyConfigured, match="pool=20"):
        database_from_url("postgresql://ada@db/roost", BASE, pool="many")


def test_what_is_left_of_the_query_goes_to_libpq() -> None:
    url = "postgresql://db/roost?sslmode=require&application_name=roost&host=other"
    found = database_from_url(url, BASE)
    assert found["OPTIONS"] == {"sslmode": "require", "application_name": "roost"}
    assert found["HOST"] == "other"


@pytest.mark.parametrize(
    ("url", "name"),
    [("sqlite:///db.sqlite3", "/checkout/db.sqlite3"), ("sqlite:////data/my%20db.sqlite3", "/data/my db.sqlite3")],
)
def test_a_sqlite_address_is_relative_to_the_checkout_or_absolute(url: str, name: str) -> None:
    assert database_from_url(url, BASE)["NAME"] == name


def test_sqlite_survives_a_power_cut_and_lets_readers_go_on() -> None:
    options: dict[str, Any] = database_from_url("sqlite:///db.sqlite3", BASE)["OPTIONS"]
    assert "journal_mode=WAL" in options["init_command"]
    assert "synchronous=FULL" in options["init_command"]
    assert "transaction_mode" not in options


@pytest.mark.parametrize("url", ["mysql://db/roost", "db.sqlite3", "sqlite://"])
def test_another_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"write .*sqlite:///"):
        database_from_url(url, BASE)


def test_the_password_may_come_apart_from_the_address() -> None:
    def password(url: str) -> str:
        return str(database_from_url(url, BASE, "apart")["PASSWORD"])

    assert password("postgresql://ann@db.example/roost") == "apart"
    assert password("postgresql://ann:inside@db.example/roost") == "inside"
