"""Say what a page may show of an artifact: text, a JSON value, or a picture; or why nothing.

A file is judged by its bytes, never by what it says of itself. No more is read than is shown. JSON is shown as a value
and not as text, since its secrets are known by their keys: what is too large to be read whole is not shown at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from console.raster import Raster, sniff
from runtime import artifacts as content
from runtime.choices import ArtifactKind
from runtime.exceptions import CorruptArtifact, StorageUnavailable
from runtime.models import Artifact

TEXT_BYTES = 64 * 1024
"""Bytes of a text that are shown."""
JSON_BYTES = 512 * 1024
"""Bytes of a JSON file that is shown."""
PICTURE_BYTES = 8 * 1024 * 1024
MOST_PIXELS = 40_000_000
"""Pixels of a picture that is shown: a small file may unfold to more than a browser's memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What is shown: `value` is the text or the JSON value, as it is stored. `why` says why there is nothing.

    `cut` are the bytes of a text that are left out.
    """

    kind: Literal["text", "json", "picture", "nothing"]
    value: Any = None
    picture: Raster | None = None
    cut: int = 0
    why: str = ""


def preview_of(found: Artifact, path: str) -> Preview:
    """Return what may be shown of the file, whose name in the storage is `path`. Raises nothing."""
    try:
        return _preview(found, path)
    except StorageUnavailable:
        return _nothing(_("The artifact storage does not answer."))
    except CorruptArtifact:
        return _nothing(_("What is stored is damaged or gone. Restore the storage from a backup."))


def picture_of(found: Artifact, path: str) -> Raster | None:
    """Return what picture the file is, None if it is none that is shown. Raises what the storage raises."""
    return _preview(found, path).picture


def _preview(found: Artifact, path: str) -> Preview:
    if not found.size:
        return _nothing(_("The file is empty."))
    with content.open_content(path) as source, content.storage_errors(f"reading {path}"):
        head = source.read(TEXT_BYTES)
    picture = sniff(head)
    if picture is not None:
        return _picture(found, picture)
    text = _text(head, cut=found.size > len(head))
    if text is None:
        return _nothing(_("It is neither text nor a picture that is shown: PNG, JPEG, GIF or WebP."))
    if _says_json(found) or text.lstrip()[:1] in ("{", "["):
        shown = _json(found, path, text)
        if shown is not None:
            return shown
    return Preview(kind="text", value=text, cut=found.size - len(text.encode()))


def _picture(found: Artifact, picture: Raster) -> Preview:
    if found.size > PICTURE_BYTES or picture.pixels > MOST_PIXELS:
        size = f"{picture.width} x {picture.height}"
        return _nothing(_("The picture is too large to be shown here: %(size)s pixels.") % {"size": size})
    return Preview(kind="picture", picture=picture)


def _text(head: bytes, *, cut: bool) -> str | None:
    """Return the bytes as text, without a character that was cut in two; None for what is no text."""
    if b"\0" in head:
        return None
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        in_two = cut and error.end == len(head) and len(head) - error.start < 4
        return head[: error.start].decode() if in_two else None


def _says_json(found: Artifact) -> bool:
    kind = found.content_type.partition(";")[0].strip().lower()
    return found.kind == ArtifactKind.JSON or kind == "application/json" or kind.endswith("+json")


def _json(found: Artifact, path: str, text: str) -> Preview | None:
    """Return the value, or that there is too much of it; None for a text that only begins like JSON."""
    try:
        if found.size <= JSON_BYTES:
            whole = content.read_verified(path, found.sha256).decode()
            return Preview(kind="json", value=json.loads(whole))
    except (ValueError, RecursionError):
        pass
    lines = _json_lines(text, cut=len(text.encode()) < found.size)
    if lines:
        return Preview(kind="json", value=lines, cut=max(0, found.size - len(text.encode())))
    if found.size > JSON_BYTES and (_says_json(found) or _is_cut_json(text)):
        return _nothing(_("It is JSON that is too large to be shown here."))
    return None


def _is_cut_json(text: str) -> bool:
    """Say whether a text is the beginning of a JSON value, and not a log whose lines begin with a bracket."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.msg.startswith("Unterminated string") or error.pos >= len(text) - len("false")
    except (ValueError, RecursionError):
        return True
    return False


def _json_lines(text: str, *, cut: bool) -> list[Any]:
    """Return the values of a file that has one on each line; nothing if a line is none."""
    lines = text.splitlines()
    whole = [line for line in (lines[:-1] if cut else lines) if line.strip()]
    try:
        return [json.loads(line) for line in whole]
    except (ValueError, RecursionError):
        return []


def _nothing(why: str) -> Preview:
    return Preview(kind="nothing", why=why)
