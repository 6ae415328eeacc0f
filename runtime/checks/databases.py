"""Check the databases that Roost works on, without asking them anything unless `--database` names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Warning  # noqa: A004 - Django's names
from django.db import connections, router
from django.views.decorators.debug import sensitive_variables

from runtime import registry
from runtime.checks.check import Found, check
from runtime.choices import WorkerState
from runtime.conf import PREFIX
from runtime.conf import settings as roost
from runtime.deliveries import ENGINE
from runtime.exceptions import InvalidInput
from runtime.models import WebhookTarget, Worker, WorkItem
from runtime.operations import target_values
from runtime.outgoing.addresses import plain_host
from runtime.outgoing.resolving import DEFAULT_PORTS, allowed
from runtime.store import work_database

WAL = 2
WAL_BYTE = 18


@check
def database_alias_missing(**_options: Any) -> Found:
    """Find database aliases that DATABASES lacks."""
    for name in ("DATABASE", "DIRECT_DATABASE"):
        alias = getattr(roost, name)
        if alias is not None and alias not in settings.DATABASES:
            yield Error(
                f"{PREFIX}{name} = {alias!r}, but DATABASES has no such alias.",
                hint=f"Use one of {', '.join(map(repr, settings.DATABASES))}, or add DATABASES[{alias!r}].",
                id="roost.E006",
            )


@check
def tables_split_over_databases(**_options: Any) -> Found:
    """Find tables that a router keeps off the work database: a schedule could not fire in one transaction there."""
    alias = _work_alias()
    if alias is None or not router.allow_migrate_model(alias, WorkItem):
        return
    models = apps.get_app_config(WorkItem._meta.app_label).get_models()
    away = sorted(model.__name__ for model in models if not router.allow_migrate_model(alias, model))
    if away:
        yield Error(
            f"A database router keeps {', '.join(away)} off {alias!r}, where the work items are.",
            hint=f"Let the router answer the same for every model of the app {WorkItem._meta.app_label!r}.",
            id="roost.E008",
        )


@check
def sqlite_without_wal(**_options: Any) -> Found:
    """Find a SQLite file in which each commit shuts out every reader."""
    alias = _work_alias()
    if alias is None or connections[alias].vendor != "sqlite":
        return
    database = connections[alias].settings_dict
    name = str(database["NAME"])
    if ":memory:" in name or "mode=memory" in name:
        return
    if "wal" in str(database["OPTIONS"].get("init_command", "")).lower() or _is_wal(Path(name)):
        return
    yield Warning(
        f"The SQLite database {name} does not use write-ahead logging: workers and pages will wait for each other.",
        hint=f"Set DATABASES[{alias!r}]['OPTIONS'] = {{'init_command': 'PRAGMA journal_mode=WAL'}}.",
        id="roost.W005",
    )


def _is_wal(file: Path) -> bool:
    """Read the mode from the file's header, where SQLite keeps it for good."""
    try:
        with file.open("rb") as opened:
            return opened.read(WAL_BYTE + 1)[WAL_BYTE:] == bytes([WAL])
    except OSError:
        return False


@check
def sqlite_shared_by_hosts(*, databases: Sequence[str] | None = None, **_options: Any) -> Found:
    """Find workers of several machines on one SQLite file. Asks the database, so runs with `--database` only."""
    alias = _work_alias()
    if alias is None or alias not in (databases or ()) or connections[alias].vendor != "sqlite":
        return
    if Worker._meta.db_table not in connections[alias].introspection.table_names():
        return
    alive = Worker.objects.using(alias).exclude(state=WorkerState.OFFLINE)
    hosts = sorted(alive.order_by().values_list("host", flat=True).distinct())
    if len(hosts) > 1:
        yield Warning(
            f"Workers on {len(hosts)} hosts ({', '.join(hosts)}) share one SQLite file; its locks do not cross hosts.",
            hint="Use PostgreSQL, or run workers on one host.",
            id="roost.W006",
        )


@check
def webhook_target_not_told(*, databases: Sequence[str] | None = None, **_options: Any) -> Found:
    """Find targets that nothing can be delivered to, or only in the open. Asks the database, as the one above.

    Those of the settings are looked at too.
    """
    alias = _work_alias()
    if alias is None or alias not in (databases or ()):
        return
    if WebhookTarget._meta.db_table not in connections[alias].introspection.table_names():
        return
    rows = WebhookTarget.objects.using(alias).filter(enabled=True).order_by("name").values_list("name", "url")
    ways_out = {name: f"run: manage.py roost webhook-targets set {name} --no-enabled" for name, _ in rows}
    declared = list(_declared_targets())
    ways_out |= {name: f"correct ROOST_WEBHOOK_TARGETS[{name!r}]" for name, _ in declared}
    for name, url in (dict(rows) | dict(declared)).items():
        if wrong := _wrong_with_target(url):
            hint = f"Mend that, or {ways_out[name]}"
            yield Warning(f"The webhook target {name!r} {wrong}", hint=hint, id="roost.W022")


def _declared_targets() -> Iterator[tuple[str, str]]:
    """Give name and address of the settings' targets; what is wrong with others another check tells."""
    for name, given in roost.WEBHOOK_TARGETS.items():
        with suppress(InvalidInput):
            values = target_values.declared(name, given)
            if values["enabled"]:
                yield name, target_values.address(values["url"])


@sensitive_variables()
def _wrong_with_target(url: str) -> str:
    if ENGINE not in registry.paths():
        return f"waits for the engine {ENGINE!r}, which is not registered: add it to ROOST_ENGINES."
    parts = urlsplit(url)
    networks, hosts = allowed()
    if networks or plain_host(parts.hostname or "") in hosts:
        return ""  # whether the address lies in one of the networks is known when it is called
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    if roost.OUTGOING_PORTS is not None and port not in roost.OUTGOING_PORTS:
        return f"is called at port {port}, which ROOST_OUTGOING_PORTS does not have."
    return "is called by http: whoever is on the way reads what it is told." if parts.scheme == "http" else ""


@check
def pooled_database_without_a_direct_one(**_options: Any) -> Found:
    """Find LISTEN and advisory locks sent through a transaction pooler, which loses both."""
    alias = _work_alias()
    if alias is None or connections[alias].vendor != "postgresql" or roost.DIRECT_DATABASE is not None:
        return
    if connections[alias].settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield Warning(
            f"DATABASES[{alias!r}] seems to be a transaction pooler: wake-ups and the liveness lock do not pass it.",
            hint="Add an alias that reaches PostgreSQL directly, and set ROOST_DIRECT_DATABASE to it.",
            id="roost.W007",
        )


def _work_alias() -> str | None:
    """Return the work database's alias, None when it is missing, which `database_alias_missing` tells."""
    return work_database() if roost.DATABASE is None or roost.DATABASE in settings.DATABASES else None
