"""The form by which a person sends a signal to whoever waits for its name, and who that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext_lazy

from console.action_fields import ActionField, Typed, read_each, told_at, typed
from console.callers import Caller
from runtime.choices import WaitKind, WaitState
from runtime.exceptions import Forbidden, IdempotencyConflict, InvalidInput, RoostError
from runtime.models import Signal, Wait
from runtime.operations.signal import SendSignal
from runtime.queries.items import HEAVY
from runtime.queries.windows import Figure, figure
from runtime.sentences import translated
from runtime.store import work_database

DELIVERY = "delivery_id"
NAMESPACE = "namespace"
SHOWN = 10
"""Waits that the page names."""
FIELDS: tuple[ActionField, ...] = (
    ActionField(
        name="name",
        label=gettext_lazy("Name of the signal"),
        help=gettext_lazy("What items wait for, now or later."),
        kind="text",
        required=True,
    ),
    ActionField(
        name=NAMESPACE,
        label=gettext_lazy("Namespace"),
        help=gettext_lazy("Empty: yours, if you reach only one, else the default one."),
        kind="text",
    ),
    ActionField(
        name="payload",
        label=gettext_lazy("Payload (JSON)"),
        help=gettext_lazy("What the step gets as the answer. Empty: null."),
        kind="json",
    ),
    ActionField(
        name=DELIVERY,
        label=gettext_lazy("Delivery id"),
        help=gettext_lazy("A second signal with the same one is the first. Empty: none of yours."),
        kind="text",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalForm:
    """What is in the form, and what is wrong with it: in each field, and in `error` what belongs to none."""

    fields: list[Typed]
    error: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> SignalForm:
        """Return the form with what was typed."""
        return cls(fields=typed(FIELDS, form))

    @property
    def wrong(self) -> int:
        """How many fields are wrong."""
        return sum(bool(one.error) for one in self.fields)

    @property
    def is_wrong(self) -> bool:
        """Whether it cannot be sent as it is."""
        return bool(self.wrong or self.error)

    def said(self, name: str) -> str:
        """Return the text of a field, without blanks around it."""
        return next(one.text.strip() for one in self.fields if one.field.name == name)

    def operation(self, *, by: Any, click: str) -> SendSignal:
        """Return the operation that does what the form says. Raises `InvalidInput`, `Forbidden` for the namespace."""
        given, _fields = read_each(self.fields)
        own = {DELIVERY: f"console:{click}", **given, NAMESPACE: self.namespace(by)}
        return SendSignal(by=by, **own)

    def namespace(self, by: Any) -> str:
        """Return the namespace that is meant. Raises `Forbidden` for one out of reach."""
        return Caller.of_user(by).namespace(self.said(NAMESPACE))

    def checked(self, *, by: Any, click: str) -> SignalForm:
        """Return the form with what is wrong with it. Sends nothing."""
        _given, fields = read_each(self.fields)
        form = replace(self, fields=fields)
        if form.wrong:
            return form
        try:
            form.operation(by=by, click=click)
        except InvalidInput as error:
            return form.refused(error.field, translated(error))
        except Forbidden as error:
            return form.refused(NAMESPACE, translated(error))
        return form

    def refused(self, field: str, message: str) -> SignalForm:
        """Return the form with the message at that field, or above all if it has none such."""
        fields = told_at(self.fields, field, message)
        return replace(self, fields=fields) if fields else replace(self, error=message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The first open waits for a name, in the order in which they get its signals, and what lies in the mailbox."""

    waits: Sequence[Wait]
    more: bool
    kept: Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What became of a form: the signal that is kept, and whether it is new; none where the form is wrong."""

    form: SignalForm
    signal: Signal | None = None
    is_new: bool = False


def waiting(form: SignalForm, *, by: Any) -> Waiting:
    """Return who waits for the signal that the form names, and how many are kept for nobody so far.

    Raises `Forbidden` for a namespace out of reach.
    """
    using, name, namespace = work_database(), form.said("name"), form.namespace(by)
    asked = Wait.objects.using(using).filter(state=WaitState.OPEN, kind=WaitKind.SIGNAL, signal_name=name)
    found = asked.filter(work_item__namespace=namespace).select_related("work_item").order_by("id")
    waits = list(found.defer(*(f"work_item__{column}" for column in HEAVY))[: SHOWN + 1])
    kept = Signal.objects.using(using).filter(namespace=namespace, name=name, taken_by=None, target=None)
    return Waiting(waits=waits[:SHOWN], more=len(waits) > SHOWN, kept=figure(kept))


def send(form: SignalForm, *, by: Any, click: str) -> Sent:
    """Send what the form says. A second press of the same button, the `click`, is the first one. Raises `Forbidden`."""
    operation = form.operation(by=by, click=click)
    try:
        kept = operation.execute()
    except PermissionError:
        raise
    except RoostError as error:
        place = DELIVERY if isinstance(error, IdempotencyConflict) and form.said(DELIVERY) else ""
        return Sent(form=form.refused(place, translated(error)))
    signal: Signal = Signal.objects.using(operation.store.using).get(pk=kept)
    return Sent(form=form, signal=signal, is_new=operation.made)
