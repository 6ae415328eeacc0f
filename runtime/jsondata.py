"""Turn values into JSON text that every database stores and gives back unchanged, or say why not.

Roost keeps plain data only. What JSON cannot hold exactly is refused with a `NotJSON` that names the place:
NaN and infinities, whole numbers of thousands of digits (Python would not read them back), keys that are no strings,
NUL characters (PostgreSQL's jsonb has none), lone surrogates (no UTF-8 for them), nesting beyond
`ROOST_MAX_JSON_DEPTH`, and any other type. Tuples are taken as lists.
"""

from __future__ import annotations

import json
import math
from typing import Any

from runtime.conf import settings as roost
from runtime.exceptions import NotJSON, TooLarge
from runtime.sentences import say as _

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
loads = json.loads

MAX_INT_BITS = 14_000
"""Just below the 4,300 digits at which Python refuses to turn a number into text or back."""


def dumps(value: Any, *, what: str = "value", max_bytes: int | None = None, depth: int | None = None) -> str:
    """Return the compact JSON text of `value`.

    `what` names the value in the message. `max_bytes` bounds the UTF-8 length, `depth` the nesting (None: the
    setting). Raises `NotJSON`, `TooLarge`.
    """
    check(value, what, depth)
    text = _encode(value)
    if max_bytes is not None and len(text) > max_bytes // 4:
        size = len(text.encode())
        if size > max_bytes:
            raise TooLarge(
                _(
                    "%(what)s is %(size)s bytes of JSON; at most %(max_bytes)s are allowed. Store large data as an "
                    "artifact.",
                    what=what,
                    size=size,
                    max_bytes=max_bytes,
                ),
                field=what,
            )
    return text


def check(value: Any, what: str = "value", depth: int | None = None) -> None:
    """Raise `NotJSON`, naming the place, unless `value` is plain JSON data."""
    limit = roost.MAX_JSON_DEPTH if depth is None else depth
    _walk(value, what, limit)


def _walk(value: Any, path: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        _check_text(value, path)
    elif kind is int or kind is float:
        _check_number(value, path)
    elif value is None or kind is bool:
        return
    elif depth <= 0:
        raise NotJSON(
            _("%(path)s is nested deeper than ROOST_MAX_JSON_DEPTH allows. Flatten it.", path=path), field=path
        )
    elif isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str:
                raise NotJSON(
                    _("%(path)s has the key %(key)r: JSON keys must be strings.", path=path, key=key), field=path
                )
            _check_text(key, path)
            _walk(inner, f"{path}.{key}" if type(inner) not in _SCALARS else path, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _walk(inner, path, depth - 1)
    else:
        raise NotJSON(
            _("%(path)s holds a %(kind)s, which JSON cannot hold. Convert it first.", path=path, kind=kind.__name__),
            field=path,
        )


def _check_number(value: int | float, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJSON(
                _("%(path)s is %(value)s: JSON has no such number. Use null or a string.", path=path, value=value),
                field=path,
            )
    elif value.bit_length() > MAX_INT_BITS:
        raise NotJSON(
            _("%(path)s holds a whole number of more than 4,200 digits. Use a string.", path=path), field=path
        )


_SCALARS = frozenset({str, int, bool, type(None)})


def _check_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise NotJSON(
            _("%(path)s holds a NUL character, which the database cannot store. Remove it.", path=path), field=path
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise NotJSON(
                _(
                    "%(path)s holds a lone surrogate at position %(start)s, which is no valid text. Remove it.",
                    path=path,
                    start=error.start,
                ),
                field=path,
            ) from None


def clean(text: str) -> str:
    """Return text that every database stores: without NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def same_json(left: Any, right: Any) -> bool:
    """Say whether two JSON values are the same: true is not 1; 1.0 is 1, since databases write numbers their way."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _same_number(left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return type(left) is type(right) and bool(left == right)


def _same_number(left: float, right: float) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    try:
        return float(left) == float(right)  # jsonb writes 1e23 as a whole number that no float equals
    except OverflowError:
        return False
