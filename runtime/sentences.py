"""Sentences for people: English where they are made, kept and logged, another language where a page shows them.

    from runtime.sentences import say as _

    raise Conflict(_("Work item %(item)s is %(state)s. Resume it.", item=item.pk, state=item.state))

What a sentence says is English text, whatever language is active: the API, commands, logs and rows tell everybody the
same. It remembers the text that it was made of and what stands in its places, so that `translated` says it again in
the language of a reader, from the catalogues that a product has. `makemessages` finds the texts by the names `_` and
`ngettext`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import translation
from django.utils.functional import Promise


class Sentence(str):
    """English text that can be told in another language; in every other way the text that it is."""

    __slots__ = ("glue", "many", "parts", "text", "values")

    text: str
    many: str
    values: dict[str, Any]
    parts: tuple[str, ...]
    glue: str

    def __new__(
        cls,
        text: str,
        many: str = "",
        values: dict[str, Any] | None = None,
        parts: tuple[str, ...] = (),
        glue: str = " ",
    ) -> Sentence:
        """Make a sentence of a text with places, of two by the value `count`, or of parts with glue between them.

        Of an error among the values only what it says is kept.
        """
        given = {name: _said(value) for name, value in (values or {}).items()}
        english = glue.join(map(str, parts)) if parts else _filled(_one_of(text, many, given), _in_english(given))
        made = super().__new__(cls, english)
        made.text, made.many, made.values, made.parts, made.glue = text, many, given, parts, glue
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return what it was made of: errors travel between processes."""
        return self.text, self.many, self.values, self.parts, self.glue


def say(text: str, /, **values: Any) -> Sentence:
    """Return the sentence; `text` has a place `%(name)s` for each value, which may be a sentence or a label itself."""
    return Sentence(text, "", values)


def ngettext(one: str, many: str, count: int, /, **values: Any) -> Sentence:
    """Return one of two sentences by a number, which stands in the place `%(count)d`."""
    return Sentence(one, many, {**values, "count": count})


def together(parts: Iterable[str], *, glue: str = " ") -> Sentence:
    """Return the sentences that are not empty as one text, the glue between them."""
    return Sentence("", parts=tuple(filter(None, parts)), glue=glue)


def translated(told: object) -> str:
    """Return a sentence, a label, or what an error says, in the active language; any other text as it is.

    A text of a catalogue with a place that the original has not, or with a broken one, is not used.
    """
    told = _said(told)
    if not isinstance(told, Sentence):
        return str(told)
    if told.parts:
        return told.glue.join(map(translated, told.parts))
    found = translation.gettext(told.text) if not told.many else _counted(told)
    values = {name: _read(value) for name, value in told.values.items()}
    try:
        return _filled(found, values)
    except (KeyError, TypeError, ValueError):
        return _filled(_one_of(told.text, told.many, values), values)


def _said(value: Any) -> Any:
    """Return what an error says, as the sentence it was told in; anything else as it is."""
    if not isinstance(value, BaseException):
        return value
    return value.args[0] if value.args and isinstance(value.args[0], Sentence) else str(value)


def _counted(told: Sentence) -> str:
    return translation.ngettext(told.text, told.many, told.values["count"])


def _read(value: Any) -> Any:
    return translated(value) if isinstance(value, Sentence | Promise) else value


def _one_of(text: str, many: str, values: dict[str, Any]) -> str:
    return many if many and values["count"] != 1 else text


def _filled(text: str, values: dict[str, Any]) -> str:
    return text % values if values else text


def _in_english(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with labels as they stand in the code; those of sentences are English already."""
    if not any(isinstance(value, Promise) for value in values.values()):
        return values
    with translation.override(None):
        return {name: str(value) if isinstance(value, Promise) else value for name, value in values.items()}
