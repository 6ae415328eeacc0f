"""One engine in the releases of a product, as deploys bring them one after the other."""

from __future__ import annotations

from typing import Any

from runtime.engine import Complete, Continue, Engine, Item, Snapshot


class First(Engine):
    """Version 1 counts in `n`, up to 3."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        number = snapshot.data["n"] + 1
        return Complete({"n": number}, {"n": number}) if number >= 3 else Continue({"n": number}, delay=1)


class Second(Engine):
    """Version 2 counts in `count`, and knows how to read what version 1 left."""

    version = "2"
    state_schema = 2
    upcasters = {1: lambda state: {"count": state.pop("n"), "upcast": True}}

    def init_snapshot(self, item: Item) -> Any:
        return {"count": 0}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        number = snapshot.data["count"] + 1
        state = {**snapshot.data, "count": number}
        return Complete(state) if number >= 3 else Continue(state, delay=1)


class Async(Second):
    """Version 2 with async steps."""

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return super().step(snapshot, item)


class Hasty(Second):
    """Version 2 as somebody deploys it who forgot the way from the old shape."""

    upcasters = {}


class Strict(Second):
    """Version 3, which goes on with nothing that was enqueued for version 1."""

    version = "3"

    def accepts(self, version: str) -> bool:
        return version != "1"


class Own(First):
    """Version 4 reads old states in its own way."""

    state_schema = 4

    def upcast(self, state: Any, from_schema: int) -> Any:
        return {"n": state["n"], "from": from_schema}


class Broken(Second):
    """Version 2 with an upcaster that fails."""

    upcasters = {1: lambda state: state["missing"]}


class Third(Second):
    """Version 3 counts in `steps`, deployed without a way from what version 2 left."""

    version = "3"
    state_schema = 3
    upcasters = {1: lambda state: {"count": state["n"]}}

    def init_snapshot(self, item: Item) -> Any:
        return {"steps": 0}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        number = snapshot.data["steps"] + 1
        return Complete(number, {"steps": number}) if number >= 3 else Continue({"steps": number}, delay=1)


class Mended(Third):
    """Version 3 with the upcaster that was missing."""

    version = "3.1"
    upcasters = {**Third.upcasters, 2: lambda state: {"steps": state["count"]}}
