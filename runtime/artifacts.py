"""Keep bytes under the name of their own hash in the Django storage `STORAGES[ROOST_ARTIFACT_STORAGE]`.

Content with sha256 `abcd…` lives at `ab/cd/abcd…` and is never changed, so writing it twice is the same as once. Where
it is stored again while its removal is under way, it lives at `ab/cd/abcd…-0123abcd`, a name of its own.
A storage (a folder, a bucket with its prefix) belongs to one work database: what that database does not know is
swept. This module knows files only; `runtime.store.blobs` keeps the rows that say who needs them.

Storages that fail raise `StorageUnavailable`, which makes the step run again. Nothing half-written is ever found
under its final name: on the file system content is written aside and linked into place, S3 shows an object when it
is complete, and elsewhere the size is checked before and after.
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import os
import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages

from runtime.choices import ArtifactKind
from runtime.conf import settings as roost
from runtime.exceptions import CorruptArtifact, InvalidInput, StorageUnavailable
from runtime.jsondata import dumps

ASIDE = "incoming"
MAX_NAME_BYTES = 255
CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.+-]+)*", re.ASCII)
CHUNK_BYTES = 1024 * 1024
TEXT = "text/plain; charset=utf-8"
OF_KIND = {
    ArtifactKind.JSON: "application/json",
    ArtifactKind.PATCH: "text/x-diff; charset=utf-8",
    ArtifactKind.LOG: TEXT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Content that was checked and hashed, and the description of the artifact it shall become.

    `copy` tells a copy of it from an earlier one of which nobody knows when it will be gone; mostly there is none.
    """

    content: bytes
    sha256: str
    name: str
    kind: str
    content_type: str
    metadata: str
    copy: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    @property
    def path(self) -> str:
        """Name in the storage."""
        return path_of(self.sha256, self.copy)


def path_of(sha256: str, copy: str = "") -> str:
    """Return the storage's name for content with that hash."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}{copy and f'-{copy}'}"


def copy_of(path: str) -> str:
    """Return which copy of its content a name in the storage is."""
    return path.partition("-")[2]


def new_copy() -> str:
    """Return what no copy has been called."""
    return secrets.token_hex(4)


def prepare(
    name: str,
    content: bytes | str | Any,
    *,
    kind: str = ArtifactKind.OTHER,
    content_type: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Prepared:
    """Check and hash content: bytes, text, or (for kind "json") JSON data. Raises `InvalidInput`; touches nothing."""
    if kind not in ArtifactKind.values:
        raise InvalidInput(
            f"{kind!r} is no kind of artifact. Use one of {', '.join(ArtifactKind.values)}.", field="kind"
        )
    if content_type and not (len(content_type) <= 100 and CONTENT_TYPE.fullmatch(content_type)):
        raise InvalidInput(f"{content_type!r} is no content type, such as text/plain.", field="content_type")
    if not isinstance(metadata, Mapping | None):
        raise InvalidInput(f"metadata is a {type(metadata).__name__}; it must be an object.", field="metadata")
    check_name(name)
    data = _to_bytes(name, content, kind)
    return Prepared(
        content=data,
        sha256=hashlib.sha256(data).hexdigest(),
        name=name,
        kind=str(kind),
        content_type=content_type or _guess(name, content, kind),
        metadata=dumps(dict(metadata or {}), what="metadata", max_bytes=roost.MAX_PAYLOAD_BYTES),
    )


def check_name(name: str) -> None:
    """Raise `InvalidInput` unless `name` can be shown to people and be the name of a file in a folder."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("An artifact needs a name.", field="name")
    if not name.isprintable() or "/" in name or "\\" in name or name in {".", ".."}:
        raise InvalidInput(
            f"{name!r} cannot name an artifact: no path separators and no control characters, please.", field="name"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidInput(f"An artifact's name has at most {MAX_NAME_BYTES} bytes: {name[:40]}….", field="name")


def _to_bytes(name: str, content: Any, kind: str) -> bytes:
    if isinstance(content, str):
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"The text of artifact {name} holds a lone surrogate at position {error.start}.", field="content"
            ) from None
    elif isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
    elif kind == ArtifactKind.JSON:
        data = dumps(content, what=f"artifact {name}").encode()
    else:
        raise InvalidInput(
            f"Artifact {name} of kind {kind} cannot be made of a {type(content).__name__}. "
            'Give bytes or text, or kind="json" for JSON data.',
            field="content",
        )
    if len(data) > roost.MAX_ARTIFACT_BYTES:
        raise InvalidInput(
            f"Artifact {name} has {len(data)} bytes; ROOST_MAX_ARTIFACT_BYTES allows {roost.MAX_ARTIFACT_BYTES}.",
            field="content",
        )
    return data


def _guess(name: str, content: Any, kind: str) -> str:
    found = OF_KIND.get(ArtifactKind(kind)) or mimetypes.guess_type(name)[0]
    return found or (TEXT if isinstance(content, str) else "application/octet-stream")


# The storage --------------------------------------------------------------------------------------------------------


def storage() -> Storage:
    """Return the storage that the settings name."""
    return storages[roost.ARTIFACT_STORAGE]


@contextlib.contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn whatever a storage raises into a `StorageUnavailable` that says what was being done."""
    try:
        yield
    except (CorruptArtifact, StorageUnavailable):
        raise
    except Exception as error:
        raise StorageUnavailable(
            f"The artifact storage {roost.ARTIFACT_STORAGE!r} failed while {doing}: {error}. Is it there and writable?"
        ) from error


def write(prepared: Prepared) -> bool:
    """Write content unless the storage has it; return whether it was written. Safe with any number of writers.

    Left-overs of the wrong size under the same name (a torn write of a storage without atomic writes) are replaced.
    Raises `StorageUnavailable`.
    """
    place, path = storage(), prepared.path
    with storage_errors(f"storing {path}"):
        if place.exists(path):
            if place.size(path) == prepared.size:
                return False
            place.delete(path)
        if isinstance(place, FileSystemStorage):
            _link_into_place(place, prepared)
        else:
            _save(place, prepared)
        if place.size(path) != prepared.size:
            raise StorageUnavailable(f"The artifact storage did not keep all {prepared.size} bytes of {path}.")
    return True


def _save(place: Storage, prepared: Prepared) -> None:
    saved = place.save(prepared.path, ContentFile(prepared.content))
    if saved != prepared.path:
        # Another writer of the same content was quicker, and the storage gave our copy a name of its own.
        place.delete(saved)


def _link_into_place(place: FileSystemStorage, prepared: Prepared) -> None:
    aside = place.save(f"{ASIDE}/{uuid.uuid4().hex}", ContentFile(prepared.content))
    draft, target = Path(place.path(aside)), Path(place.path(prepared.path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=place.directory_permissions_mode or 0o777)
        _sync(draft)
        try:
            target.hardlink_to(draft)
        except FileExistsError:
            return
        except OSError:
            # A file system without hard links: a rename is atomic too, and what it may replace is the same content.
            draft.replace(target)
        _sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the kernel write a file, or a folder's entries, to the disk: the commit that names it comes after."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete(path: str) -> None:
    """Remove content; a name that is not there is fine. Raises `StorageUnavailable`."""
    with storage_errors(f"deleting {path}"):
        storage().delete(path)


def open_content(path: str) -> File[bytes]:
    """Open content for reading; close it after use. Raises `CorruptArtifact` when gone, or `StorageUnavailable`."""
    with storage_errors(f"opening {path}"):
        try:
            opened: File[bytes] = storage().open(path, "rb")
        except FileNotFoundError as error:
            raise CorruptArtifact(f"The content {path} is gone from the artifact storage.") from error
    return opened


def chunks(path: str, sha256: str) -> Iterator[bytes]:
    """Yield content piece by piece and raise `CorruptArtifact` after the last one if its hash is not `sha256`."""
    digest = hashlib.sha256()
    with open_content(path) as source:
        while True:
            with storage_errors(f"reading {path}"):
                piece = source.read(CHUNK_BYTES)
            if not piece:
                break
            digest.update(piece)
            yield piece
    if digest.hexdigest() != sha256:
        raise CorruptArtifact(
            f"The content {path} was changed: its sha256 is {digest.hexdigest()}. Restore the storage from a backup."
        )


def read_verified(path: str, sha256: str) -> bytes:
    """Return content whose hash was checked. Raises `CorruptArtifact` or `StorageUnavailable`."""
    return b"".join(chunks(path, sha256))
