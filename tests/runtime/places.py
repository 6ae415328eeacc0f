"""Storages that fail in the ways storages do, and what tests of artifacts say often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from django.core.files.base import ContentFile, File
from django.core.files.storage import InMemoryStorage, Storage
from django.db import connections

from runtime import artifacts
from runtime.store import blobs
from runtime.store.values import NewArtifact

USING = "default"
PLACES = __name__
LOCAL = {"BACKEND": "django.core.files.storage.FileSystemStorage"}


def keep(content: Any = b"content", name: str = "file.bin", **more: Any) -> NewArtifact:
    return blobs.store(USING, artifacts.prepare(name, content, **more))


def contents(place: Storage, folder: str = "") -> list[str]:
    folders, files = place.listdir(folder)
    inner = [name for one in folders for name in contents(place, f"{folder}/{one}".lstrip("/"))]
    return sorted(inner + [f"{folder}/{name}".lstrip("/") for name in files])


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """Do `work` in threads that start at one instant."""
    start = threading.Barrier(count)

    def one() -> Any:
        start.wait()
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return [done.result() for done in [pool.submit(one) for _ in range(count)]]


class RacedStorage(InMemoryStorage):
    """Another writer is always quicker between the look and the write."""

    def _save(self, name: str, content: File[Any]) -> str:
        if not self.exists(name):
            super()._save(name, ContentFile(content.read()))
            content.seek(0)
            name = self.get_available_name(name)
        return super()._save(name, content)


class DownStorage(InMemoryStorage):
    """A storage that is away."""

    def exists(self, name: str) -> bool:
        raise ConnectionError("no route to storage")

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        raise ConnectionError("no route to storage")

    def delete(self, name: str) -> None:
        raise ConnectionError("no route to storage")

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise ConnectionError("no route to storage")


class ForgetfulStorage(InMemoryStorage):
    """A storage that keeps half of what it is given."""

    def size(self, name: str) -> int:
        return super().size(name) // 2


class LateStorage(InMemoryStorage):
    """Removes only when it is told to: what was sent is on its way. `answers` says whether the sender hears of that."""

    sent: ClassVar[list[tuple[LateStorage, str]]] = []
    answers: ClassVar[bool] = False

    def delete(self, name: str) -> None:
        self.sent.append((self, name))
        if not self.answers:
            raise TimeoutError("no answer")

    @classmethod
    def arrive(cls) -> None:
        """Carry out what was sent."""
        while cls.sent:
            place, name = cls.sent.pop()
            InMemoryStorage.delete(place, name)
