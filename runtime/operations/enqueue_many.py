"""Enqueue many work items in a few statements: all of them, or none and an error that names the place."""

from __future__ import annotations

import datetime as dt
import difflib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Required

from asgiref.sync import sync_to_async

from runtime import clock
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput, NotFound, RoostError
from runtime.models import WorkItem
from runtime.operations.base import actor_name, check_permission, require_reach
from runtime.operations.enqueue import PERMISSION, VERB, family_namespace, store_item, store_items
from runtime.operations.spec import ItemOptions, Terms, build, parse_item_id, terms
from runtime.sentences import say as _
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.values import NewItem


class ItemSpec(ItemOptions, total=False):
    """One item of a bulk enqueue: engine, payload and the options of `ItemOptions`."""

    engine: Required[str]
    payload: Any


_ALLOWED = ItemSpec.__annotations__.keys() | ItemOptions.__annotations__.keys()


class EnqueueMany:
    """Enqueue up to `ROOST_MAX_BULK` items. `by` is a Django user whose permission is checked, or None."""

    def __init__(
        self,
        specs: Iterable[ItemSpec | Mapping[str, Any]],
        *,
        by: Any = None,
        actor: str = "",
        using: str | None = None,
    ) -> None:
        self.specs = list(specs)
        self.by = by
        self.actor = actor_name(by, actor)
        self.store: Store = get_store(using)
        self._terms: dict[Any, Terms] = {}

    def check(self) -> list[NewItem]:
        """Return the items as they would be stored. Raises what `execute()` would, but for taken keys."""
        check_permission(self.by, PERMISSION, VERB)
        if len(self.specs) > roost.MAX_BULK:
            raise InvalidInput(
                _(
                    "%(count)s items are more than ROOST_MAX_BULK allows at once (%(max_bulk)s). Send less.",
                    count=len(self.specs),
                    max_bulk=roost.MAX_BULK,
                ),
                field="items",
            )
        for place, spec in enumerate(self.specs):
            _check_shape(spec, f"items[{place}]")
        parents = self._parents()
        now = clock.now(self.store.using) if any(spec.get("deadline") is not None for spec in self.specs) else None
        return [self._build(place, spec, parents, now) for place, spec in enumerate(self.specs)]

    def execute(self) -> list[uuid.UUID]:
        """Store the items and return their ids in the order given; an item with a known key stands for the first."""
        items = self.check()
        if len(items) == 1:
            return [store_item(self.store, items[0]).pk]
        return store_items(self.store, items) if items else []

    def _build(
        self, place: int, spec: Mapping[str, Any], parents: Mapping[uuid.UUID, str], now: dt.datetime | None
    ) -> NewItem:
        options = dict(spec)
        try:
            engine = self._engine(options.pop("engine"))
            if options.get("parent") is not None:
                options["parent"] = parent = parse_item_id(options["parent"], "parent")
                missing = NotFound(_("There is no work item %(parent)s to be the parent.", parent=parent))
                if parent not in parents:
                    raise missing
                require_reach(self.by, parents[parent], missing)
                options["namespace"] = family_namespace(options, parents[parent])
            item = build(engine, actor=self.actor, using=self.store.using, now=now, **options)
            require_reach(self.by, item.namespace)
            return item
        except RoostError as error:
            raise _at(error, f"items[{place}]") from error.__cause__

    def _engine(self, name: Any) -> Terms:
        found = self._terms.get(name) if isinstance(name, str) else None
        if found is None:
            found = self._terms[name] = terms(name)
        return found

    def _parents(self) -> dict[uuid.UUID, str]:
        """Return id → namespace of the parents named; ids that are none are left to `_build` to refuse."""
        wanted = set()
        for spec in self.specs:
            if spec.get("parent") is not None:
                try:
                    wanted.add(parse_item_id(spec["parent"]))
                except InvalidInput:
                    continue
        if not wanted:
            return {}
        return dict(WorkItem.objects.using(self.store.using).filter(pk__in=wanted).values_list("pk", "namespace"))


def enqueue_many(
    specs: Iterable[ItemSpec | Mapping[str, Any]], *, by: Any = None, actor: str = "", using: str | None = None
) -> list[uuid.UUID]:
    """Enqueue the items described and return their ids in order. All or none; joins the caller's transaction.

    Raises as `enqueue()` does; messages and fields begin with the place, `items[3]`.
    """
    return EnqueueMany(specs, by=by, actor=actor, using=using).execute()


async def aenqueue_many(
    specs: Sequence[ItemSpec | Mapping[str, Any]], *, by: Any = None, actor: str = "", using: str | None = None
) -> list[uuid.UUID]:
    """Do what `enqueue_many()` does without blocking the event loop."""
    return await sync_to_async(partial(enqueue_many, specs, by=by, actor=actor, using=using))()


def _check_shape(spec: Any, field: str) -> None:
    if not isinstance(spec, Mapping):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be a mapping with 'engine'.", field=field, kind=type(spec).__name__),
            field=field,
        )
    if "engine" not in spec:
        raise InvalidInput(
            _("%(field)s has no 'engine'. Name the engine that is to work on it.", field=field), field=f"{field}.engine"
        )
    if not spec.keys() <= _ALLOWED:
        unknown = next(key for key in spec if key not in _ALLOWED)
        close = difflib.get_close_matches(str(unknown), _ALLOWED, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(sorted(_ALLOWED))}."
        raise InvalidInput(
            _("%(field)s has an unknown option %(unknown)r. %(hint)s", field=field, unknown=unknown, hint=hint),
            field=f"{field}.{unknown}",
        )


def _at(error: RoostError, place: str) -> RoostError:
    """Return the error with the place in front of its message and field."""
    error.args = (f"{place}: {error}",)
    if isinstance(error, InvalidInput):
        error.field = f"{place}.{error.field}" if error.field else place
    return error
