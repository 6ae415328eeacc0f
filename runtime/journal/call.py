"""A call, prepared: what is called, under which key, and with what."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import uuid_utils.compat

from runtime import jsondata
from runtime.exceptions import InvalidInput, NotJSON
from runtime.journal import DEFAULT, CallPolicy
from runtime.journal.entries import Begin, End, Place

MAX_KEY = 190
MAX_NAME = 200
Scope = Literal["step", "item"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Everything that is known of a call before it is made."""

    place: Place
    fn: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    policy: CallPolicy
    name: str
    input_hash: str
    idempotency_key: str

    @property
    def key(self) -> str:
        """The key under which it is recorded."""
        return self.place.key

    @property
    def is_async(self) -> bool:
        """Whether what is called is a coroutine function."""
        return inspect.iscoroutinefunction(self.fn)

    def begin(self, replaces: uuid.UUID | None) -> Begin:
        """Return the write that announces the next attempt."""
        return Begin(
            place=self.place,
            call=uuid_utils.compat.uuid7(),
            name=self.name,
            input_hash=self.input_hash,
            idempotency_key=self.idempotency_key,
            replaces=replaces,
            quotas=self.policy.quotas,
        )

    def end(self, call: uuid.UUID, state: str, *, result: str | None = None, error: str | None = None) -> End:
        """Return the write that tells how an attempt ended."""
        return End(place=self.place, call=call, state=state, result=result, error=error)

    def make(self) -> Any:
        """Call."""
        return self.fn(*self.args, **self.kwargs)


def prepare(
    place: Place,
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    idempotency_key: str,
    policy: CallPolicy | None,
    given: Any,
    name: str,
) -> Call:
    """Return the call; `given` stands for its arguments where these are no JSON.

    The idempotency key is handed over if the callee has a parameter `idempotency_key`. Raises `InvalidInput`.
    """
    _check_key(place.key)
    if not callable(fn):
        raise InvalidInput(f"What is to be called for {place.key!r} is a {type(fn).__name__}.", field="fn")
    if takes_idempotency_key(fn):
        passed: Mapping[str, Any] = {"idempotency_key": idempotency_key, **kwargs}
    else:
        passed = kwargs
    return Call(
        place=place,
        fn=fn,
        args=args,
        kwargs=passed,
        policy=policy or DEFAULT,
        name=jsondata.clean(name or name_of(fn))[:MAX_NAME],
        input_hash=input_hash(place.key, [list(args), dict(kwargs)] if given is None else given),
        idempotency_key=idempotency_key,
    )


def input_hash(key: str, given: Any) -> str:
    """Return the sha256 of the canonical JSON of what a call is given. Raises `InvalidInput`."""
    try:
        jsondata.check(given, f"input of call {key!r}")
    except NotJSON as error:
        text = f"The {error} Give `input=` a JSON value that stands for the arguments."
        raise InvalidInput(text, field="input") from error
    text = json.dumps(given, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def takes_idempotency_key(fn: Callable[..., Any]) -> bool:
    """Say whether a callee has a parameter of that name."""
    try:
        parameter = inspect.signature(fn).parameters.get("idempotency_key")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )


def name_of(fn: Callable[..., Any]) -> str:
    """Return what people call a callee."""
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)


def _check_key(key: str) -> None:
    if not isinstance(key, str) or not key or not key.isprintable() or key != key.strip():
        raise InvalidInput(
            f"The key of a recorded call is {key!r}; it must be printable text without blanks around it.", field="key"
        )
    if len(key) > MAX_KEY:
        raise InvalidInput(f"The key of a recorded call has {len(key)} characters, at most {MAX_KEY}.", field="key")
