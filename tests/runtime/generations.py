"""Rows as earlier releases wrote them: made with the models that a migration knows, whatever these are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps
from django.db import models
from django.db.migrations.executor import MigrationExecutor
from django.db.models import NOT_PROVIDED
from django.utils import timezone

APP = "roost"
# What is no row of its own (one for all), or has a column of a type that only SQL writes.
LEFT_OUT = {"eventhorizon"}
VALUES: dict[str, dict[str, Any]] = {
    "workitem": {"engine": "counter", "payload": {"count_to": 2}, "state": "paused", "paused_from": "queued"},
    "event": {"kind": "enqueued", "seq": 1},
    "schedule": {"kind": "interval", "every": 60.0, "anchor": timezone.now(), "enabled": False},
    "limit": {"concurrency": 100},
    "trigger": {"enabled": False},
    "webhooktarget": {"events": ["failed"], "enabled": False},
}
"""What rows of a model need to be rows that Roost could have written."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as it was written: what each of its columns had then."""

    model: str
    pk: Any
    columns: dict[str, Any]


class Generation:
    """The models as they were at one migration, and rows of each of them."""

    def __init__(self, using: str, name: str, apps: Apps) -> None:
        self.using = using
        self.name = name
        self._apps = apps
        self._made: dict[str, models.Model] = {}

    def rows(self) -> list[Row]:
        """Write one row of every model there was; return them as they stand in the tables."""
        self._made.clear()
        found = [model for model in self._apps.get_app_config(APP).get_models() if not model._meta.proxy]
        made = [self._row(model) for model in found if model._meta.model_name not in LEFT_OUT]
        return [self.read(str(one._meta.model_name), one.pk) for one in made]

    def item(self) -> uuid.UUID:
        """Write an item that is due, with its first event; return its id."""
        model = self._apps.get_model(APP, "workitem")
        empty = {field.name: None for field in model._meta.concrete_fields if _may_be_filled(field)}
        queued = {"state": "queued", "paused_from": "", "event_seq": 1}
        made = self._new(model, **{**empty, **VALUES["workitem"], **queued})
        self._new(self._apps.get_model(APP, "event"), work_item=made)
        return made.pk  # type: ignore[no-any-return]

    def read(self, model: str, pk: Any) -> Row:
        """Read a row with the models of this generation."""
        rows = self._apps.get_model(APP, model)._base_manager.using(self.using)
        return Row(model=model, pk=pk, columns=rows.filter(pk=pk).values().get())

    def _row(self, model: type[models.Model]) -> models.Model:
        name = str(model._meta.model_name)
        if name not in self._made:
            self._made[name] = self._new(model)
        return self._made[name]

    def _new(self, model: type[models.Model], **given: Any) -> models.Model:
        given = {**VALUES.get(str(model._meta.model_name), {}), **given}
        for field in model._meta.concrete_fields:
            if field.name not in given and not _left_to_itself(field):
                given[field.name] = self._value(field)
        return model._base_manager.using(self.using).create(**given)

    def _value(self, field: Any) -> Any:
        if field.is_relation:
            return self._row(field.related_model)
        if field.choices:
            return field.choices[0][0]
        match field:
            case models.CharField() | models.TextField():
                return f"{field.name} {self.name} {uuid.uuid4().hex}"[: field.max_length or 200]
            case models.JSONField():
                return {"written by": self.name}
            case models.DateTimeField():
                return timezone.now()
            case models.UUIDField():
                return uuid.uuid4()
        return 1


def _left_to_itself(field: Any) -> bool:
    """Say whether the field fills itself; JSON that may be null is filled, so that there is something to lose."""
    if _may_be_filled(field):
        return False
    return (
        field.null or field.has_default() or field.db_default is not NOT_PROVIDED or isinstance(field, models.AutoField)
    )


def _may_be_filled(field: Any) -> bool:
    return isinstance(field, models.JSONField) and field.null and not field.has_default()


def migrations(executor: MigrationExecutor) -> list[str]:
    """Return the names of all migrations, in order."""
    [leaf] = executor.loader.graph.leaf_nodes(APP)
    return [name for app, name in executor.loader.graph.forwards_plan(leaf) if app == APP]


def migrated(using: str, executor: MigrationExecutor, name: str) -> Generation:
    """Bring the database to a migration and return the models there."""
    state = executor.migrate([(APP, name)])
    executor.loader.build_graph()
    return Generation(using, name, state.apps)
