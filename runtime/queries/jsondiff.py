"""Say in what two JSON values differ: which places were added, removed or changed. Pure, and bounded in its answer.

Objects are compared by key, arrays by position, but for what both begin or end with in common: an entry put in front
of a long array is one entry added, not a change of every place. Numbers are the same when they are equal (1 and 1.0),
true is not 1. Places are JSON Pointers (RFC 6901), the empty one the whole value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.jsondata import same_json

MOST = 200
"""Differences that are told, unless the caller wants more or fewer."""

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs. `before` is None for what was added, `after` for what was removed."""

    kind: str
    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The first differences in order of their places, and whether there are more that are not told."""

    changes: tuple[Change, ...]
    more: bool

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.more


def compare(before: Any, after: Any, *, most: int = MOST) -> Difference:
    """Return what changed from `before` to `after`, at most so many places."""
    found: list[Change] = []
    for change in _walk(before, after, ""):
        if len(found) == most:
            return Difference(changes=tuple(found), more=True)
        found.append(change)
    return Difference(changes=tuple(found), more=False)


def compare_shown(before: Any, after: Any, shown: Callable[[Any], Any], *, most: int = MOST) -> Difference:
    """Return what changed in what people are shown of two values, as `shown` masks each whole.

    Where only what is masked differs, no place is named, and there is `more`.
    """
    found = compare(shown(before), shown(after), most=most)
    if found.same and not same_json(before, after):
        return Difference(changes=(), more=True)
    return found


def _walk(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _arrays(before, after, path)
    elif not same_json(before, after):
        yield Change(CHANGED, path, before, after)


def _objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        place = f"{path}/{pointer(key)}"
        if key not in after:
            yield Change(REMOVED, place, before[key], None)
        elif key not in before:
            yield Change(ADDED, place, None, after[key])
        else:
            yield from _walk(before[key], after[key], place)


def _arrays(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Change]:
    """Compare what lies between the common beginning and the common end, place by place."""
    shorter = min(len(before), len(after))
    first = _common(zip(before, after, strict=False), shorter)
    rest = shorter - first
    last = _common(zip(reversed(before), reversed(after), strict=False), rest)
    old, new = before[first : len(before) - last], after[first : len(after) - last]
    both = min(len(old), len(new))
    for place in range(both):
        yield from _walk(old[place], new[place], f"{path}/{first + place}")
    for place in range(both, len(old)):
        yield Change(REMOVED, f"{path}/{first + place}", old[place], None)
    for place in range(both, len(new)):
        yield Change(ADDED, f"{path}/{first + place}", None, new[place])


def _common(pairs: Iterator[tuple[Any, Any]], most: int) -> int:
    count = 0
    for old, new in pairs:
        if count == most or not same_json(old, new):
            break
        count += 1
    return count


def pointer(key: str) -> str:
    """Return a key as a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")
