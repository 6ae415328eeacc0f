"""An artifact storage that fails while a file beside it says so, for every process that uses it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

AWAY, FULL = "away", "full"


def mark_of(location: str | Path) -> Path:
    """Return the file whose text says how the storage at that place fails; without it, it works."""
    return Path(location).with_name("storage-fails")


class FailingStorage(FileSystemStorage):
    """Away: whatever it is asked fails. Full: it keeps half of what it is given, and says so."""

    def _save(self, name: str, content: Any) -> str:
        if self._fails() == FULL:
            whole = content.read()
            super()._save(name, ContentFile(whole[: len(whole) // 2]))
            raise OSError(errno.ENOSPC, "No space left on device")
        self._look()
        saved: str = super()._save(name, content)
        return saved

    def _open(self, name: str, mode: str = "rb") -> Any:
        self._look()
        return super()._open(name, mode)

    def exists(self, name: str) -> bool:
        self._look()
        return super().exists(name)

    def size(self, name: str) -> int:
        self._look()
        return super().size(name)

    def delete(self, name: str) -> None:
        self._look()
        super().delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self._look()
        return super().listdir(path)

    def _look(self) -> None:
        if self._fails() == AWAY:
            raise ConnectionError("no route to the storage")

    def _fails(self) -> str:
        try:
            return mark_of(self.location).read_text()
        except FileNotFoundError:
            return ""
