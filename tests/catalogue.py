"""A product's catalogue of texts, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import trans_real


@contextmanager
def catalogue(texts: Mapping[Any, str], language: str = "de") -> Iterator[None]:
    """Activate a language in which these texts come before those of Django while the block runs.

    A key is a text, a context and a text with \\x04 between them, or a text and the number of its plural's form.
    """
    known: Any = trans_real.translation(language)._catalog  # type: ignore[attr-defined] # has no types
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "_catalogs", [dict(texts), *known._catalogs])
        patch.setattr(known, "_plurals", [lambda count: int(count != 1), *known._plurals])
        with translation.override(language):
            yield
