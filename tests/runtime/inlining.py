"""Engines and a caller for tests of the inline mode, and how they run as both of Django's test cases."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from runtime.asks import Approval, AwaitChildren, AwaitSignal
from runtime.engine import Complete, Continue, engine
from runtime.operations.enqueue import aenqueue, enqueue
from runtime.step import StepContext


class Refused(Exception):
    """What an engine of a product may raise."""


@engine()
def signs(state: Any) -> Any:
    """Write a row, and enqueue what comes after it; an atomic step."""
    Group.objects.create(name=state["name"])
    for name in state.get("then", ()):
        enqueue("signs", {"name": name})
    if state.get("refused"):
        raise Refused("no")
    if state.get("exits"):
        sys.exit(3)
    return Complete([name for (name,) in Group.objects.order_by("id").values_list("name")])


@engine()
async def calls(state: Any, ctx: StepContext) -> Any:
    """Enqueue from a thread and from the loop, and ask children."""
    if not ctx.answers:
        await asyncio.sleep(0)
        await aenqueue("signs", {"name": "from a step"})
        for name in ("first", "second"):
            ctx.spawn("signs", {"name": name})
    children = ctx.ask(AwaitChildren("both")).value
    return Complete([child["state"] for child in children])


@engine()
def asks(state: Any, ctx: StepContext) -> Any:
    """Wait for somebody, and then for something."""
    ctx.ask(Approval("may"))
    return Complete(ctx.ask(AwaitSignal("paid")).value)


@engine()
async def endless(state: Any) -> Any:
    """Enqueue itself again and again."""
    await aenqueue("endless")
    return Complete()


@engine()
def breaks(state: Any) -> Any:
    """Bring the transaction into a state in which nothing more can be done."""
    group = Group.objects.create(name="twice")
    Group.objects.create(id=group.pk, name="other")
    return Continue(state)


NAMES = ("signs", "calls", "asks", "endless", "breaks")
ENGINES = {"counter": "engines.counter.Counter", **{name: f"{__name__}.{name}" for name in NAMES}}


CASES = [
    pytest.param("TestCase", marks=pytest.mark.django_db),
    pytest.param("TransactionTestCase", marks=pytest.mark.django_db(transaction=True)),
]


def in_both_cases(test: Any) -> Any:
    """Run the test inside a transaction of its own, as Django's TestCase does, and outside any."""
    return pytest.mark.usefixtures("kind")(pytest.mark.parametrize("kind", CASES, indirect=True)(test))


def signed() -> list[str]:
    return [str(group.name) for group in Group.objects.order_by("id")]


@transaction.atomic
def order(name: str, *more: str, payload: Any = None, refused: bool = False) -> None:
    """Do as a product does: write a row and enqueue in one transaction."""
    Group.objects.create(name=f"order of {name}")
    enqueue("signs", {"name": name, **(payload or {})}, max_attempts=1)
    for other in more:
        enqueue("signs", {"name": other})
    if refused:
        raise Refused
