"""Say whether a condition holds of an ended item, and take values out of it. Pure; nothing is ever evaluated as code.

    result.status == "down" and not (payload.quiet or state.tries < 3)
    error.code in ["timeout", "rate_limited"]
    result.items[0].name != null

A path begins with a root, one of ROOTS unless others are given, and goes on by `.name`, `["name"]` and `[number]`; what
is not there is null. Values are compared as JSON: numbers with numbers and texts with texts, and an order between
anything else is never given. `in` looks into a list, a text, or the keys of an object. False are false, null, 0, "", []
and {}.

A payload map is JSON in which a text that begins with `$` stands for the value at that path: {"url": "$result.url",
"why": "it went down"}. `$$` begins a text with a real dollar sign.

Text and nesting are bounded, so that reading one and following it cost next to nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from runtime.exceptions import InvalidInput

ROOTS = ("result", "payload", "state", "error", "item")
"""Where a path may begin that looks at an ended item; whoever reads conditions on something else gives its own."""
MAX_TEXT = 500
MAX_DEPTH = 20
MAX_MAPPED = 1_000

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|[<>()\[\].,]))""",
    re.ASCII,
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS = frozenset({"and", "or", "not", "in", *_CONSTANTS})


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition or a path, read. `roots` are those it looks at."""

    text: str
    value: Evaluate
    roots: frozenset[str]

    def holds(self, scope: Scope) -> bool:
        """Say whether the condition is true of the scope."""
        return bool(self.value(scope))


@lru_cache(maxsize=512)
def condition(text: str, roots: tuple[str, ...] = ROOTS) -> Expression:
    """Read a condition. Raises `InvalidInput`, which says what is wrong and where."""
    return _Reader(text, "condition", roots).all(lambda reader: reader.either())


@lru_cache(maxsize=2048)
def path(text: str, roots: tuple[str, ...] = ROOTS, field: str = "payload") -> Expression:
    """Read a path. Raises `InvalidInput`."""
    return _Reader(text, field, roots).all(lambda reader: reader.path(reader.take("name")))


def roots_of(mapped: Any, roots: tuple[str, ...] = ROOTS) -> frozenset[str]:
    """Return what a payload map looks at. Raises `InvalidInput` for a path that is none, or for too many."""
    paths = list(_paths(mapped, MAX_DEPTH))
    if len(paths) > MAX_MAPPED:
        raise InvalidInput(
            f"The payload map has {len(paths)} paths; at most {MAX_MAPPED} are allowed.", field="payload"
        )
    return frozenset().union(*(path(text, roots).roots for text in paths))


def filled(mapped: Any, scope: Scope, roots: tuple[str, ...] = ROOTS) -> Any:
    """Return the payload that a map makes of a scope."""
    if isinstance(mapped, str):
        if mapped.startswith("$$"):
            return mapped[1:]
        return path(mapped[1:], roots).value(scope) if mapped.startswith("$") else mapped
    if isinstance(mapped, Mapping):
        return {key: filled(value, scope, roots) for key, value in mapped.items()}
    return [filled(value, scope, roots) for value in mapped] if isinstance(mapped, list) else mapped


def _paths(mapped: Any, depth: int) -> Iterator[str]:
    if depth < 0:
        raise InvalidInput(f"The payload map is nested deeper than {MAX_DEPTH}.", field="payload")
    if isinstance(mapped, str) and mapped.startswith("$") and not mapped.startswith("$$"):
        yield mapped[1:]
    elif isinstance(mapped, Mapping | list):
        for value in mapped.values() if isinstance(mapped, Mapping) else mapped:
            yield from _paths(value, depth - 1)


class _Reader:
    """Reads by descent: either, both, negated, compared, operand."""

    def __init__(self, text: Any, field: str, roots: tuple[str, ...]) -> None:
        self.field = field
        self.may_begin = roots
        self.text = text
        if not isinstance(text, str):
            self.fail(f"is a {type(text).__name__}; it must be a string")
        if len(text) > MAX_TEXT:
            self.fail(f"has {len(text)} characters; at most {MAX_TEXT} are allowed")
        self.tokens = list(self._split(text))
        self.at = 0
        self.depth = 0
        self.roots: set[str] = set()

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                self.fail(f"has something at {text[place:].strip()[:20]!r} that it cannot have")
            yield found.lastgroup, found[found.lastgroup]
            place = found.end()

    def fail(self, what: str) -> NoReturn:
        shown = self.text if isinstance(self.text, str) and len(self.text) <= MAX_TEXT else ""
        raise InvalidInput(f"The {self.field} {shown!r} {what}.", field=self.field)

    def all(self, read: Callable[[_Reader], Evaluate]) -> Expression:
        value = read(self)
        if self.at < len(self.tokens):
            self.fail(f"goes on with {self.tokens[self.at][1]!r} where it should end")
        return Expression(self.text, value, frozenset(self.roots))

    def next_is(self, *texts: str) -> str:
        """Take the next token if it is one of these, and return it; else return nothing."""
        if self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind in ("sign", "name") and text in texts:
                self.at += 1
                return text
        return ""

    def take(self, *kinds: str) -> str:
        if self.at >= len(self.tokens):
            self.fail("ends too early")
        kind, text = self.tokens[self.at]
        if kind not in kinds:
            self.fail(f"has {text!r} where a {' or '.join(kinds)} should be")
        self.at += 1
        return text

    def either(self) -> Evaluate:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"is nested deeper than {MAX_DEPTH}")
        parts = [self.both()]
        while self.next_is("or"):
            parts.append(self.both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else lambda scope: any(part(scope) for part in parts)

    def both(self) -> Evaluate:
        parts = [self.negated()]
        while self.next_is("and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else lambda scope: all(part(scope) for part in parts)

    def negated(self) -> Evaluate:
        turns = 0
        while self.next_is("not"):
            turns += 1
        part = self.compared()
        if not turns:
            return part
        return (lambda scope: not part(scope)) if turns % 2 else (lambda scope: bool(part(scope)))

    def compared(self) -> Evaluate:
        left = self.operand()
        sign = self.next_is("==", "!=", "<", "<=", ">", ">=", "in")
        if not sign:
            return left
        right, compare = self.operand(), _COMPARE[sign]
        return lambda scope: compare(left(scope), right(scope))

    def operand(self) -> Evaluate:
        if self.next_is("("):
            inner = self.either()
            self.close(")")
            return inner
        if self.next_is("["):
            return self.listed()
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind == "name" and text not in _WORDS:
            self.at += 1
            return self.path(text)
        value = self.constant()
        return lambda scope: value

    def listed(self) -> Evaluate:
        values: list[Any] = []
        while not self.next_is("]"):
            if values and not self.next_is(","):
                self.fail("has a list without a comma between its values")
            values.append(self.constant())
        return lambda scope: values

    def constant(self) -> Any:
        text = self.take("text", "number", "name")
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] in "\"'":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if text[0].isdigit() or text[0] == "-":
            return (
                json.loads(text) if _is_number(text) else self.fail(f"has the number {text}, which is none of JSON's")
            )
        return self.fail(f"has {text!r} where a value should be")

    def path(self, root: str) -> Evaluate:
        if root not in self.may_begin:
            self.fail(f"begins a path with {root!r}; it may begin with {', '.join(self.may_begin)}")
        self.roots.add(root)
        steps: list[str | int] = [root]
        while sign := self.next_is(".", "["):
            steps.append(self.take("name") if sign == "." else self.index())
        return lambda scope: _at(scope, steps)

    def index(self) -> str | int:
        text = self.take("text", "number")
        self.close("]")
        if text[0] in "\"'":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if not re.fullmatch(r"-?\d{1,9}", text):
            self.fail(f"counts with {text}, which is no whole number")
        return int(text)

    def close(self, sign: str) -> None:
        if not self.next_is(sign):
            self.fail(f"lacks a {sign!r}")


def _is_number(text: str) -> bool:
    try:
        return isinstance(json.loads(text), int | float)
    except ValueError:
        return False


def _at(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            inside = isinstance(value, list) and -len(value) <= step < len(value)
        else:
            inside = isinstance(value, Mapping) and step in value
        if not inside:
            return None
        value = value[step]
    return value


def _same(left: Any, right: Any) -> bool:
    return bool(isinstance(left, bool) == isinstance(right, bool) and left == right)


def _ordered(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in (int | float, str))


def _inside(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    if isinstance(right, list):
        return any(_same(left, value) for value in right)
    return isinstance(right, Mapping) and isinstance(left, str) and left in right


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": lambda left, right: _ordered(left, right) and left < right,
    "<=": lambda left, right: _ordered(left, right) and left <= right,
    ">": lambda left, right: _ordered(left, right) and left > right,
    ">=": lambda left, right: _ordered(left, right) and left >= right,
    "in": _inside,
}
