"""Keep large JSON values as content in the artifact storage, and a reference where the value would stand.

    {"$roost.offloaded": {"sha256": "abcd…", "size": 300000}}

stands for the value whose JSON text has that hash, in the payload or the result of an item and in the state of a
snapshot. Nobody can hand one in: values that look like a reference are refused, so none leads to content that its
writer was not given. This module knows text and files only; `runtime.store.offloading` keeps the rows that say which
item needs which content.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from runtime import artifacts
from runtime.artifacts import Prepared
from runtime.choices import ArtifactKind
from runtime.conf import settings as roost
from runtime.exceptions import CorruptArtifact, NotJSON, StorageUnavailable

KEY = "$roost.offloaded"
PREFIX = f'{{"{KEY}"'
"""How the text of every reference begins, in our spelling and in either database's."""

SHA256 = re.compile(r"[0-9a-f]{64}")
COPY = re.compile(r"(?:[0-9a-f]{8})?")

LEAST = 64 * 1024
"""Characters below which nothing is moved, whatever the setting: a row is cheaper, and results that children hand to
their parents are whole up to this size."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which content a value is; `size` in bytes of JSON, `copy` as in `runtime.artifacts.Prepared`."""

    sha256: str
    size: int
    copy: str = ""

    @property
    def text(self) -> str:
        """The JSON text that stands for the value."""
        copy = f',"copy":"{self.copy}"' if self.copy else ""
        return f'{PREFIX}:{{"sha256":"{self.sha256}","size":{self.size}{copy}}}}}'


def is_large(text: str | None) -> bool:
    """Say whether the JSON text is one to be moved, by the setting as it is now."""
    most: int | None = roost.OFFLOAD_BYTES
    return bool(most) and text is not None and len(text) > max(int(most or 0), LEAST)


def prepared(text: str) -> Prepared:
    """Return a value's text as content to be stored."""
    content = text.encode()
    return Prepared(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        name="value.json",
        kind=ArtifactKind.JSON.value,
        content_type="application/json",
        metadata="{}",
    )


def in_text(text: str | None) -> Reference | None:
    """Return the reference that a JSON text is, None for any other; one look at its beginning for most."""
    if text is None or not text.startswith(PREFIX):
        return None
    return in_value(json.loads(text))


def in_value(value: Any) -> Reference | None:
    """Return the reference that a JSON value is, None for any other."""
    if type(value) is not dict or len(value) != 1 or type(told := value.get(KEY)) is not dict:
        return None
    sha256, size, copy = told.get("sha256"), told.get("size"), told.get("copy", "")
    if type(sha256) is not str or not SHA256.fullmatch(sha256) or type(size) is not int:
        return None
    return Reference(sha256, size, copy) if type(copy) is str and COPY.fullmatch(copy) else None


def refuse_reference(text: str, what: str) -> None:
    """Raise `NotJSON` for a value that its reader would take for a reference."""
    if text.startswith(PREFIX):
        raise NotJSON(f"{what} has the key {KEY!r}, which Roost keeps for itself. Give it another name.", field=what)


def load(reference: Reference, owner: str) -> str:
    """Return the text of a value, its hash checked. `owner` names the value in the error.

    Raises `CorruptArtifact` when the content is gone or was changed, or `StorageUnavailable`.
    """
    try:
        return artifacts.read_verified(artifacts.path_of(reference.sha256, reference.copy), reference.sha256).decode()
    except CorruptArtifact as error:
        raise CorruptArtifact(
            f"The {owner} was moved to the artifact storage as content {reference.sha256} ({reference.size} bytes) "
            f"and cannot be read: {error} Restore it, then redrive the item."
        ) from error
    except StorageUnavailable as error:
        raise StorageUnavailable(f"The {owner}, content {reference.sha256}, cannot be read now: {error}") from error


def whole_text(text: str, owner: str) -> str:
    """Return a JSON text, or the one that it refers to. Raises what `load()` raises."""
    found = in_text(text)
    return text if found is None else load(found, owner)


def whole(value: Any, owner: str = "value") -> Any:
    """Return a JSON value as it was stored: `whole(item.result)`. Reads the artifact storage only for a reference.

    Raises `CorruptArtifact` when the content is gone or was changed, or `StorageUnavailable`.
    """
    found = in_value(value)
    return value if found is None else json.loads(load(found, owner))
