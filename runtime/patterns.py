"""Say of a regular expression that somebody else wrote whether it ends in time. Pure.

Python's matcher tries again from wherever it could have gone another way, and lets no other thread run meanwhile. Two
things make that long: a repeat in which the same text can be split in several ways, `(a+)+`, whose ways double with
every character; and repeats one after the other, `.*.*.*`, whose ways grow with a power of the length. The first is
refused, the second bounds the text.

Inside a repeat each part that may be of any length has to match characters that no other part there matches, so that
there is one way to go: `(-[a-z0-9]+)*`, `(\\.\\d{1,3}){3}` and `(foo|bar)+` are fine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

MOST_CHARACTERS = 500
MOST_WAYS = 2e7
MANY = 16
"""A repeat of more than so many times counts as one of any number."""
MOST_FEW_WAYS = 1e5
"""Ways that choices and repeats of a small number may have all together, whatever is in them."""
ASCII = 128
BEYOND = ASCII
"""Stands for every character that is not ASCII."""
EVERY = frozenset(range(ASCII + 1))

# The standard library's own reading of patterns; it has no public name.
_parser: Any = import_module("re._parser")
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_ONE = ("LITERAL", "NOT_LITERAL", "ANY", "IN")
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


class _Unclear(Exception):
    """A part of which this module cannot say how it matches."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One character, or a run of it: which it may be, how many at least, and whether more than that may come."""

    characters: frozenset[int]
    least: int
    open_ended: bool


@lru_cache(maxsize=512)
def trouble(pattern: str) -> str:
    """Say what is wrong with a pattern; nothing ("") if it may be matched against texts of `longest()` characters."""
    if len(pattern) > MOST_CHARACTERS:
        return f"it has more than {MOST_CHARACTERS} characters"
    try:
        re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"it is no regular expression ({error})"
    if tree.state.flags & ~re.UNICODE:
        return "it sets flags, such as (?i)"
    unclear = _unclear(tree)
    if unclear > MOST_FEW_WAYS:
        return "a repeat in it holds parts that can match the same characters, which may take for ever"
    if _few(tree) * unclear > MOST_FEW_WAYS:
        return "it has too many parts that may be there or not"
    return ""


@lru_cache(maxsize=512)
def longest(pattern: str) -> int:
    """Return how long a text may be that is matched against a pattern without trouble."""
    tree = _parser.parse(pattern)
    # Where it may begin anywhere, the beginning is one more thing to try.
    power = sum(1 for _ in _open_ends(tree)) + (not pattern.startswith("^"))
    ways = MOST_WAYS / (_few(tree) * _unclear(tree))
    return int((ways * math.factorial(power)) ** (1 / max(power, 1)))


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    for name, argument in tree:
        yield str(name), argument


def _inside(name: str, argument: Any) -> list[Any]:
    """Return the trees inside of a node."""
    if name == "BRANCH":
        return list(argument[1])
    if name == "GROUPREF_EXISTS":
        return [tree for tree in argument[1:] if tree]
    if name == "ATOMIC_GROUP":
        return [argument]
    if name in (*_REPEATS, "SUBPATTERN", "ASSERT", "ASSERT_NOT"):
        return [argument[-1]]
    return []


def _loops(tree: Any) -> Iterator[tuple[Any, int]]:
    """Go through what is repeated, wherever it stands, and how often at the most."""
    for name, argument in _nodes(tree):
        if name in _REPEATS and argument[1] > 1:
            yield argument[2], int(argument[1])
        for inner in _inside(name, argument):
            yield from _loops(inner)


def _open_ends(tree: Any) -> Iterator[str]:
    """Go through the repeats that may be of any number."""
    for name, argument in _nodes(tree):
        if name in _REPEATS and argument[1] > MANY:
            yield name
        for inner in _inside(name, argument):
            yield from _open_ends(inner)


def _ways(body: Any, times: int) -> float:
    """Return no fewer than the ways in which a repeat may match, infinite where nothing bounds them."""
    nested = any(str(inner[0][0]) not in _ONE for inner, _times in _loops(body))
    if times > MANY or nested:
        return math.inf
    return float(((body.getwidth()[1] + 1) * (1 + _choices(body))) ** times)


def _unclear(tree: Any) -> float:
    """Return in how many ways the repeats may match that are not clear."""
    return math.prod(_ways(body, times) for body, times in _loops(tree) if not _is_clear(body))


def _few(tree: Any) -> float:
    """Return in how many ways the choices outside of repeats can be made."""
    ways = 1.0
    for name, argument in _nodes(tree):
        inner = _inside(name, argument)
        if name == "BRANCH":
            ways *= len(inner)
        if name in _REPEATS and argument[1] <= MANY:
            ways *= argument[1] - argument[0] + 1
        if name not in _REPEATS or argument[1] <= 1:
            ways *= math.prod(map(_few, inner))
    return ways


def _choices(tree: Any) -> int:
    found = 0
    for name, argument in _nodes(tree):
        inner = _inside(name, argument)
        found += (len(inner) if name == "BRANCH" else 0) + sum(map(_choices, inner))
    return found


def _is_clear(body: Any) -> bool:
    """Say whether there is one way at most to split a text into repetitions of this."""
    try:
        nodes = list(_nodes(body))
        if len(nodes) == 1 and nodes[0][0] == "SUBPATTERN":
            return not nodes[0][1][1] and _is_clear(nodes[0][1][3])
        if len(nodes) == 1 and nodes[0][0] == "BRANCH":
            return _is_clear_choice(nodes[0][1][1])
        parts = list(_parts(body))
    except _Unclear:
        return False
    runs = [part for part in parts if part.open_ended]
    apart = all(run.characters.isdisjoint(other.characters) for run in runs for other in parts if other is not run)
    # What a repetition has for certain, so that it ends somewhere: a run alone would be split anywhere.
    sure = sum(1 for part in parts if part.least)
    return apart and sure >= (2 if len(runs) == len(parts) else 1)


def _is_clear_choice(branches: list[Any]) -> bool:
    """Say whether the first character tells which branch it is, and all have a fixed length."""
    found = [list(_parts(branch)) for branch in branches]
    if not all(parts and not any(part.open_ended for part in parts) for parts in found):
        return False
    firsts = [parts[0].characters for parts in found]
    return all(one.isdisjoint(other) for place, one in enumerate(firsts) for other in firsts[:place])


def _parts(tree: Any) -> Iterator[_Part]:
    """Go through a sequence of characters and runs of one character. Raises `_Unclear` for anything else."""
    for name, argument in _nodes(tree):
        if name == "AT":
            continue
        if name == "SUBPATTERN" and not argument[1]:
            yield from _parts(argument[3])
        elif name in _REPEATS:
            low, high, inner = argument
            [one] = _single(inner)
            yield _Part(one, low, low != high)
        else:
            yield _Part(_characters(name, argument), 1, False)


def _single(tree: Any) -> list[frozenset[int]]:
    found = list(_parts(tree))
    if len(found) != 1 or found[0].open_ended or found[0].least != 1:
        raise _Unclear
    return [found[0].characters]


def _characters(name: str, argument: Any) -> frozenset[int]:
    if name == "LITERAL":
        return frozenset({min(argument, BEYOND)})
    if name == "NOT_LITERAL":
        return EVERY - ({argument} if argument < ASCII else set())
    if name == "ANY":
        return EVERY
    if name == "RANGE":
        return frozenset(range(min(argument[0], BEYOND), min(argument[1], BEYOND) + 1))
    if name == "CATEGORY":
        return _category(str(argument))
    if name == "IN":
        return _class(argument)
    raise _Unclear


def _class(members: Any) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for name, argument in _nodes(members):
        negated = negated or name == "NEGATE"
        found |= _characters(name, argument) if name != "NEGATE" else set()
    # What is beyond ASCII may be in a class and not in it.
    return (EVERY - found) | {BEYOND} if negated else frozenset(found)


def _category(name: str) -> frozenset[int]:
    word = name.removeprefix("CATEGORY_").removeprefix("UNI_").removeprefix("LOC_")
    known = _CATEGORIES.get(word.removeprefix("NOT_"))
    if known is None:
        raise _Unclear
    inside = {code for code in range(ASCII) if re.match(known, chr(code))}
    return frozenset(EVERY - inside if word.startswith("NOT_") else inside) | {BEYOND}
