"""A request to the API, and how its answer is read. No IO."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from runtime.client.errors import UnexpectedAnswer
from runtime.client.shapes import Page

T = TypeVar("T")

MOST_OF_A_KEY = 200
KEY = "Idempotency-Key"

ItemId = uuid.UUID | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[T]):
    """A request, and how its answer is read. `name` is the route's, its operationId.

    `query` and `body` hold what is said alone. `seconds` is how long the server may take beyond the usual.
    """

    name: str
    method: str
    path: str
    read: Callable[[Any], T]
    places: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows whether it arrived."""
        return self.method == "GET" or KEY in self.headers

    @property
    def address(self) -> str:
        """The path with its places filled in."""
        return self.path.format(**{name: quote(value, safe="") for name, value in self.places.items()})


def question(
    name: str,
    path: str,
    shape: type[T],
    item: ItemId,
    *,
    query: tuple[tuple[str, str], ...] = (),
    seconds: float = 0.0,
) -> Call[T]:
    """Return a call that reads something of an item."""
    read, places = partial(read_as, shape), {"item_id": str(item)}
    return Call(name=name, method="GET", path=path, read=read, places=places, query=query, seconds=seconds)


def request(
    name: str,
    path: str,
    shape: type[T],
    body: Mapping[str, Any],
    *,
    item: ItemId | None = None,
    headers: Mapping[str, str],
) -> Call[T]:
    """Return a call that changes something, mostly of an item."""
    places = {} if item is None else {"item_id": str(item)}
    read = partial(read_as, shape)
    return Call(name=name, method="POST", path=path, read=read, places=places, body=body, headers=headers)


def listing(
    name: str,
    path: str,
    rows: str,
    shape: type[T],
    query: tuple[tuple[str, str], ...],
    *,
    item: ItemId | None = None,
) -> Call[Page[T]]:
    """Return a call for the first page of a list, whose rows stand in the field `rows`."""
    places = {} if item is None else {"item_id": str(item)}
    read = partial(_read_page, rows, shape)
    return Call(name=name, method="GET", path=path, read=read, places=places, query=query)


def following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """Return the call for the page after this one, None if it is the last."""
    if page.next is None:
        return None
    return replace(call, query=(*(pair for pair in call.query if pair[0] != "cursor"), ("cursor", page.next)))


def query_of(**options: object) -> tuple[tuple[str, str], ...]:
    """Return the query parameters that are said; None is the same as nothing."""
    return tuple((name, str(value)) for name, value in options.items() if value is not None)


def said(**options: Any) -> dict[str, Any]:
    """Return what is said, as JSON has it; None is the same as nothing."""
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, uuid.UUID) else value


def key_of(given: str | None) -> dict[str, str]:
    """Return the header. Raises `ValueError` for a key that no header can carry as it is."""
    key = str(uuid.uuid4()) if given is None else given
    if not (key.isascii() and key.isprintable() and key == key.strip() and 1 <= len(key) <= MOST_OF_A_KEY):
        raise ValueError(f"An idempotency key has 1 to {MOST_OF_A_KEY} printable ASCII characters, not {key!r}.")
    return {KEY: key}


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def read_as(shape: type[T], told: Any) -> T:
    """Return what an answer tells. Raises `UnexpectedAnswer`, without repeating what the answer holds."""
    kind: Any = shape
    try:
        found: T = _adapter(kind).validate_python(told)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswer(f"The answer is no {shape.__name__}: {place}: {first['msg']}") from None
    return found


def _read_page(rows: str, shape: type[T], told: Any) -> Page[T]:
    """Return the page. A list that says `more` has a cursor on its last page too, for asking again later."""
    if not isinstance(told, dict) or not isinstance(told.get(rows), list):
        raise UnexpectedAnswer(f"The answer has no {rows}.")
    after = told.get("next") if told.get("more", True) else None
    return Page(rows=tuple(read_as(shape, one) for one in told[rows]), next=after)
