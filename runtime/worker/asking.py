"""Turn what a step asks for into waits to be written, and what was answered into answers. Pure: no database, no clock.

Whatever is wrong with an ask is found here, before it joins other outcomes in one transaction.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from runtime import jsondata
from runtime.asks import NO_DEFAULT, Answer, Approval, Ask, AwaitChildren, AwaitSignal, Input, Timer
from runtime.choices import WaitKind
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations import fields
from runtime.operations.spec import parse_item_id
from runtime.schemas import check_schema
from runtime.store.values import NewWait

MAX_KEY = 200
MAX_PROMPT = 10_000
MOST_ASKS = 1_000


def new_waits(asks: Sequence[Ask], mode: str) -> tuple[NewWait, ...]:
    """Return the waits of these asks. Raises `InvalidInput` for anything that could not be waited for."""
    if mode not in ("all", "any"):
        raise InvalidInput(f"mode is {mode!r}; it must be 'all' or 'any'.", field="mode")
    if not isinstance(asks, Sequence):
        raise InvalidInput(f"asks is a {type(asks).__name__}; it must be a list of what is asked for.", field="asks")
    if not 1 <= len(asks) <= MOST_ASKS:
        raise InvalidInput(f"The step asks for {len(asks)} things; it must be 1 to {MOST_ASKS}.", field="asks")
    waits = tuple(replace(_wait(ask), needed=mode) for ask in asks)
    for key, times in Counter(wait.key for wait in waits).items():
        if times > 1:
            raise InvalidInput(f"The key {key!r} is asked for {times} times at once. Give each ask its own.", field=key)
    return waits


def _wait(ask: Ask) -> NewWait:
    build = _BUILD.get(type(ask))
    if build is None:
        raise InvalidInput(
            f"A step cannot ask for a {type(ask).__name__}. Ask for an Approval, Input, AwaitSignal, AwaitChildren or "
            f"Timer.",
            field="asks",
        )
    wait = build(ask)
    return replace(wait, key=fields.text(ask.key, "key", limit=MAX_KEY), kind=str(wait.kind))


def _approval(ask: Approval) -> NewWait:
    if ask.on_reject not in ("answer", "fail"):
        raise InvalidInput(f"on_reject is {ask.on_reject!r}; it must be 'answer' or 'fail'.", field="on_reject")
    return _with_end(
        ask,
        roost.WAIT_SECONDS,
        kind=WaitKind.APPROVAL,
        prompt=_prompt(ask.prompt),
        data=_json(ask.data, "data"),
        quorum=fields.whole(ask.quorum, "quorum", fields.INT),
        on_reject=ask.on_reject,
    )


def _input(ask: Input) -> NewWait:
    schema = None
    if ask.schema is not None:
        check_schema(ask.schema, "schema")
        schema = _json(dict(ask.schema), "schema")
    return _with_end(
        ask,
        roost.WAIT_SECONDS,
        kind=WaitKind.INPUT,
        prompt=_prompt(ask.prompt),
        data=_json(ask.data, "data"),
        schema=schema,
    )


def _signal(ask: AwaitSignal) -> NewWait:
    name = fields.text(ask.name or ask.key, "signal name", limit=MAX_KEY)
    return _with_end(ask, None, kind=WaitKind.SIGNAL, signal_name=name)


def _children(ask: AwaitChildren) -> NewWait:
    if ask.on_failure not in ("wait", "wake", "fail"):
        raise InvalidInput(
            f"on_failure is {ask.on_failure!r}; it must be 'wait', 'wake' or 'fail'.", field="on_failure"
        )
    if isinstance(ask.need, str) and ask.need not in ("all", "any"):
        raise InvalidInput(f"need is {ask.need!r}; it must be 'all', 'any' or a whole number.", field="need")
    need = ask.need if isinstance(ask.need, str) else fields.whole(ask.need, "need", fields.INT)
    named = [str(parse_item_id(child, "children")) for child in ask.children]
    data = {"children": named, "need": need, "on_failure": ask.on_failure}
    return _with_end(ask, None, kind=WaitKind.CHILDREN, data=_json(data, "children"))


def _timer(ask: Timer) -> NewWait:
    seconds = fields.seconds(ask.seconds, "seconds")
    return NewWait(key="", kind=WaitKind.TIMER, has_default=True, default="null", expires_in=seconds)


def _with_end(ask: Ask, usual: float | None, **values: Any) -> NewWait:
    """Return the wait with the end of its patience; `usual` seconds where the ask says nothing (None: no end)."""
    span = usual if ask.expires_in is None else fields.seconds(ask.expires_in, "expires_in")
    default = None if ask.default is NO_DEFAULT else _json(ask.default, "default")
    return NewWait(key="", has_default=default is not None, default=default, expires_in=span, **values)


def _prompt(prompt: Any) -> str:
    if not isinstance(prompt, str):
        raise InvalidInput(f"prompt is a {type(prompt).__name__}; it must be text.", field="prompt")
    jsondata.check(prompt, "prompt")
    if len(prompt) > MAX_PROMPT:
        raise InvalidInput(f"prompt has {len(prompt)} characters; at most {MAX_PROMPT} are kept.", field="prompt")
    return prompt


def _json(value: Any, what: str) -> str:
    return jsondata.dumps(value, what=what, max_bytes=roost.MAX_PAYLOAD_BYTES)


_BUILD: dict[type[Ask], Callable[[Any], NewWait]] = {
    Approval: _approval,
    Input: _input,
    AwaitSignal: _signal,
    AwaitChildren: _children,
    Timer: _timer,
}


class Told(NamedTuple):
    """What an item that has asked is told when it runs again: the answers, and the children it spawned before."""

    answers: dict[str, Answer]
    spawned: tuple[uuid.UUID, ...]


NOTHING = Told({}, ())


def told(text: str | None) -> Told:
    """Read what the claim brought of an item's waits, None for an item without any."""
    if text is None:
        return NOTHING
    found = jsondata.loads(text)
    answers = [Answer(**{**one, "at": _moment(one["at"])}) for one in found["answers"]]
    return Told({answer.key: answer for answer in answers}, tuple(uuid.UUID(child) for child in found["spawned"]))


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)
