"""The form by which a person enqueues an item: made of the engine's payload schema, or one field of JSON without one.

The form only helps to write the payload. Whether the engine takes it is for the operation to say, which is the one
that the API uses; what it refuses is told at the field that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.action_fields import ActionField, Typed, read_each, told_at, typed
from console.bulk import ENGINE as BULK
from console.callers import Caller
from console.schema_fields import WHOLE, composed, fields_of
from runtime import registry
from runtime.exceptions import Forbidden, IdempotencyConflict, InvalidInput, RoostError
from runtime.models import WorkItem
from runtime.models.workitem import new_id
from runtime.operations.enqueue import enqueue
from runtime.sentences import translated

KEY = "idempotency_key"
REASON = "reason"
PAYLOAD = "payload"
NAMESPACE = "namespace"
OPTIONS: tuple[ActionField, ...] = (
    ActionField(
        name=KEY,
        label=gettext_lazy("Idempotency key"),
        help=gettext_lazy("A second item with the same key is the first one. Empty: none of yours."),
        kind="text",
    ),
    ActionField(
        name="priority",
        label=gettext_lazy("Priority"),
        help=gettext_lazy("Higher is sooner; 0 is usual, negative is allowed."),
        kind="integer",
    ),
    ActionField(
        name="delay",
        label=gettext_lazy("Delay in seconds"),
        help=gettext_lazy("How long from now until it is due. Empty: it is due at once."),
        kind="number",
    ),
    ActionField(
        name=NAMESPACE,
        label=gettext_lazy("Namespace"),
        help=gettext_lazy("Empty: yours, if you reach only one, else the default one."),
        kind="text",
    ),
    ActionField(
        name=REASON,
        label=gettext_lazy("Reason"),
        help=gettext_lazy("Kept in the item's history with your name. Empty: none."),
        kind="text",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueForm:
    """What is in the form, and what is wrong with it: in each field, and in `error` what belongs to none."""

    engine: str
    payload: list[Typed]
    options: list[Typed]
    error: str = ""

    @classmethod
    def of(cls, engine: str, form: Mapping[str, str], *, raw: bool = False) -> EnqueueForm:
        """Return the form for an engine with what was typed; `raw` asks for JSON. Raises `RoostError` for no engine."""
        schema = registry.get(engine).payload_schema
        fields = fields_of(None if raw else schema, whole=_("Payload (JSON)"))
        return cls(engine=engine, payload=typed(fields, form), options=typed(OPTIONS, form))

    @property
    def has_fields(self) -> bool:
        """Whether the payload has fields of its own."""
        return [one.field.name for one in self.payload] != [WHOLE]

    @property
    def wrong(self) -> int:
        """How many fields are wrong."""
        return sum(bool(one.error) for one in (*self.payload, *self.options))


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """What became of a form: the item that stands for it, whether it is new, and why; none where the form is wrong."""

    form: EnqueueForm
    item: WorkItem | None = None
    is_new: bool = False
    reason: str = ""


def engines() -> list[str]:
    """Return the engines that people may enqueue for, by name."""
    return [name for name in registry.names() if name != BULK]


def submit(form: EnqueueForm, *, by: Any, click: str) -> Submitted:
    """Enqueue what the form says. A second press of the same button, the `click`, is the first one.

    Raises `Forbidden`.
    """
    said, payload = read_each(form.payload)
    given, options = read_each(form.options)
    form = replace(form, payload=payload, options=options)
    if form.wrong:
        return Submitted(form=form)
    wanted = new_id()
    own = {KEY: f"console:{click}", **given}
    try:
        own[NAMESPACE] = Caller.of_user(by).namespace(given.get(NAMESPACE, ""))
    except Forbidden as error:
        return Submitted(form=_refused(form, NAMESPACE, translated(error)))
    try:
        stored = enqueue(form.engine, composed(said, payload), by=by, click=click, item_id=wanted, **own)
    except InvalidInput as error:
        return Submitted(form=_refused(form, error.field, translated(error)))
    except IdempotencyConflict as error:
        sent = _("This form was sent before, with something else in it. Open it anew.")
        return Submitted(form=_refused(form, KEY, translated(error)) if KEY in given else replace(form, error=sent))
    except PermissionError:
        raise
    except RoostError as error:
        return Submitted(form=replace(form, error=translated(error)))
    return Submitted(form=form, item=stored, is_new=stored.pk == wanted, reason=given.get(REASON, ""))


def _refused(form: EnqueueForm, field: str, message: str) -> EnqueueForm:
    """Return the form with the message at the field that the operation names, or above all where there is none."""
    root, _dot, rest = field.partition(".")
    if root == PAYLOAD:
        place = f"{WHOLE}.{rest}" if form.has_fields else WHOLE
        payload = told_at(form.payload, place, message)
        return replace(form, payload=payload) if payload else replace(form, error=message)
    options = told_at(form.options, field, message)
    return replace(form, options=options) if options else replace(form, error=message)
