"""Read what people type into the search of work items: `engine:watchlist state:failed error:"timed out"`.

Pure: `parse` turns the text into terms, `runtime.queries.found` turns terms into a query. A term is `field:value`, or a
word by itself, which is compared with whole ids, idempotency keys and fingerprints. Quotes hold together what has
spaces or a colon in it: `"schedule:7"` is a word, `key:"order 17"` a field. Several terms all have to hold; the same
field twice means one or the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from runtime.choices import Reason, State
from runtime.exceptions import InvalidInput
from runtime.sentences import say as _

MOST_CHARACTERS = 1000
MOST_TERMS = 20
MOST_KEYS = 8
WORD = ""
PAYLOAD = "payload."


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A field that can be searched by. `bounded` ones have no index: they look through the newest items only."""

    name: str
    meaning: str | Promise
    example: str
    bounded: bool = False


FIELDS: tuple[Field, ...] = (
    Field(name="id", meaning=gettext_lazy("an item's id, whole or its first 4 digits or more"), example="id:0197c2d1"),
    Field(
        name="parent", meaning=gettext_lazy("the whole id of the item whose child it is"), example="parent:0197c2d1-…"
    ),
    Field(name="key", meaning=gettext_lazy("its whole idempotency key"), example="key:invoice-7"),
    Field(name="engine", meaning=gettext_lazy("its engine"), example="engine:watchlist"),
    Field(name="state", meaning=gettext_lazy("its state"), example="state:failed"),
    Field(name="namespace", meaning=gettext_lazy("its namespace"), example="namespace:acme"),
    Field(
        name="resource",
        meaning=gettext_lazy("the key of a resource that it holds or waits for"),
        example="resource:repo",
    ),
    Field(
        name="fingerprint",
        meaning=gettext_lazy("what dead letters that failed alike have in common"),
        example="fingerprint:9f86d081884c7d65",
    ),
    Field(
        name="reason", meaning=gettext_lazy("why it is in its state"), example="reason:attempts_exhausted", bounded=True
    ),
    Field(
        name="error",
        meaning=gettext_lazy("text in its error's type, code or message"),
        example="error:Timeout",
        bounded=True,
    ),
    Field(
        name="payload.KEY", meaning=gettext_lazy("a value in its payload"), example="payload.user_id:42", bounded=True
    ),
)
NAMES = tuple(field.name for field in FIELDS)
SECRET = ("error", "payload")
"""Fields that tell what products and agents put in."""

_TERM = re.compile(r'(?:([A-Za-z_][^\s:"]*):)?(?:"([^"]*)"|([^\s"]+))(?=\s|$)|(\S+)')
_PREFIX = re.compile(r"[0-9a-f]{4,32}")
_CHOICES = {"state": State.values, "reason": Reason.values}


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One condition. `field` is a name of `FIELDS`, empty for a word, `payload` for a value at `path`."""

    field: str
    value: str
    path: tuple[str, ...] = ()

    @property
    def is_secret(self) -> bool:
        """Whether finding by it tells what the item holds."""
        return self.field in SECRET


def parse(text: str) -> tuple[Term, ...]:
    """Return the terms of a search, in order. Raises `InvalidInput` with what is wrong and what could be typed."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(
            _(
                "The search has %(count)s characters; at most %(most_characters)s are read.",
                count=len(text),
                most_characters=MOST_CHARACTERS,
            ),
            field="q",
        )
    terms = tuple(_terms(text))
    if len(terms) > MOST_TERMS:
        raise InvalidInput(
            _(
                "The search has %(count)s terms; at most %(most_terms)s are taken.",
                count=len(terms),
                most_terms=MOST_TERMS,
            ),
            field="q",
        )
    return terms


def said(field: str, value: str) -> str:
    """Return a term as it is typed. A quote cannot be typed: what stands before it is compared then."""
    plain = value.partition('"')[0]
    return f"{field}:{plain}" if re.fullmatch(r"[^\s:]+", plain) else f'{field}:"{plain}"'


def _terms(text: str) -> Iterator[Term]:
    for match in _TERM.finditer(text):
        name, quoted, plain, stray = match.groups()
        if stray is not None:
            raise InvalidInput(
                _(
                    "The search cannot be read at %(stray)r: a quote is open, or stands inside a word. Quote a "
                    'whole value, as in key:"order 17".',
                    stray=stray[:40],
                ),
                field="q",
            )
        yield _term(name, plain if quoted is None else quoted)


def _term(name: str | None, value: str) -> Term:
    if name is None:
        return _word(value.strip())
    if name.startswith(PAYLOAD):
        return Term(field="payload", value=value, path=_path(name))
    if name not in NAMES:
        raise InvalidInput(
            _(
                "There is no field %(name)r to search by. Fields: %(names)s. A word with a colon in it is quoted: "
                '"%(name)s:%(value)s".',
                name=name,
                names=", ".join(NAMES),
                value=value,
            ),
            field="q",
        )
    return Term(field=name, value=_checked(name, value))


def _word(value: str) -> Term:
    if not value:
        raise InvalidInput(_("The search has empty quotes. Put something between them, or leave them out."), field="q")
    if value.removesuffix(":") in NAMES:
        raise InvalidInput(
            _("%(value)s has no value. Put one behind the colon, without a blank.", value=value), field="q"
        )
    return Term(field=WORD, value=value)


def _checked(name: str, value: str) -> str:
    if not value:
        raise InvalidInput(_("%(name)s: has no value. Put one between the quotes.", name=name), field="q")
    choices = _CHOICES.get(name)
    if choices is not None and value.lower() not in choices:
        raise InvalidInput(
            _(
                "There is no %(name)s %(value)r. There are: %(names)s.",
                name=name,
                value=value,
                names=", ".join(choices),
            ),
            field="q",
        )
    if name == "id" and not _PREFIX.fullmatch(value.lower().replace("-", "")):
        raise InvalidInput(_("%(value)r is no id: give the first 4 hex digits or more.", value=value), field="q")
    if name == "parent" and not re.fullmatch(r"[0-9a-f]{32}", value.lower().replace("-", "")):
        raise InvalidInput(_("%(value)r is no whole id, as parent: needs it.", value=value), field="q")
    return value.lower() if choices is not None or name in {"id", "parent"} else value


def _path(name: str) -> tuple[str, ...]:
    keys = tuple(name.removeprefix(PAYLOAD).split("."))
    if not all(keys) or len(keys) > MOST_KEYS:
        raise InvalidInput(
            _(
                "%(name)r names no value: write payload.user.id, %(most_keys)s keys at most.",
                name=name,
                most_keys=MOST_KEYS,
            ),
            field="q",
        )
    return keys
