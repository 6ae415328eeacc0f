"""Watch a step that is made again, and refuse what would leave its process or change what is kept."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runtime.conf import settings as roost
from runtime.store.guard import reads_only

OUTSIDE = frozenset(
    {"socket.connect", "socket.sendto", "socket.sendmsg", "subprocess.Popen"}
    | {"os.system", "os.posix_spawn", "os.exec", "os.fork"}
)
"""What Python's audit tells of when code reaches for something outside the process."""
CHANGES = frozenset(
    {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
    | {"os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree"}
)
"""What it tells of when code changes a file or a folder, or opens one."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
BEGINS_AND_ENDS = ("BEGIN", "COMMIT", "ROLLBACK")


class Unreplayable(BaseException):
    """Ends a step that is made again: it needs what is not in the record.

    Not an `Exception`, so that a step's own `except Exception` does not swallow it.
    """


class Watch:
    """Notes the first thing that a step asked for and that is not in the record: its `kind`, and `text` for people.

    `kept` is the folder of the workspaces ("" where there is none), in which nothing may be changed.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.text = ""
        root = roost.WORKSPACES_ROOT
        self.kept = os.path.realpath(root) if root else ""

    def refuse(self, kind: str, text: str) -> Unreplayable:
        """Note it, and return what is to be raised."""
        if not self.kind:
            self.kind, self.text = kind, text
        return Unreplayable(text)


_watch: ContextVar[Watch | None] = ContextVar("roost_replay", default=None)
_hooked = False
_seen: weakref.WeakSet[BaseDatabaseWrapper] = weakref.WeakSet()
"""Connections that steps made again have opened, in whatever thread: a later step may find them open."""
_looking = threading.Lock()


@contextmanager
def watching(using: str, watch: Watch, *, writes: bool) -> Iterator[None]:
    """Refuse what leaves the process while the block runs, here and in what it starts in other threads.

    On all databases reads pass; writes (if `writes`) on this thread's connection to the work database alone: its caller
    rolls them back. Code that starts a thread without its context is not seen.
    """
    _hook()
    own = connections[using]
    guarded: list[BaseDatabaseWrapper] = []

    def guard(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        connection = context["connection"]
        free = writes and connection is own
        if _watch.get() is watch and not free and not _harmless(connection, sql, using):
            raise watch.refuse("write", _told(sql, using, connection.alias))
        return execute(sql, params, many, context)

    def look_at(connection: BaseDatabaseWrapper) -> None:
        connection.execute_wrappers.insert(0, guard)
        guarded.append(connection)

    def opened(connection: BaseDatabaseWrapper, **_more: Any) -> None:
        if _watch.get() is watch and connection not in guarded:
            with _looking:
                _seen.add(connection)
            look_at(connection)

    with _looking:
        known = {id(one): one for one in [own, *connections.all(initialized_only=True), *_seen]}
    for connection in known.values():
        look_at(connection)
    connection_created.connect(opened, weak=False)
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
        connection_created.disconnect(opened)
        for connection in guarded:
            connection.execute_wrappers.remove(guard)


@contextmanager
def unwatched() -> Iterator[None]:
    """Let Roost's own work pass while the block runs, in the midst of a step."""
    token = _watch.set(None)
    try:
        yield
    finally:
        _watch.reset(token)


def _harmless(connection: BaseDatabaseWrapper, sql: str, using: str) -> bool:
    """Say whether a statement changes nothing. Elsewhere than on the work database a transaction alone is nothing."""
    if connection.alias == using:
        return reads_only(sql, connection.vendor)
    return reads_only(sql, "postgresql") or sql.lstrip().upper().startswith(BEGINS_AND_ENDS)


def _told(sql: str, using: str, alias: str) -> str:
    if alias == using:
        return f"The step writes to the work database outside its own transaction: {sql:.80}"
    return f"The step writes to the database {alias!r}, which a replay could not roll back: {sql:.80}"


def _hook() -> None:
    """Listen to Python's audit, from the first replay on: a hook cannot be taken off again."""
    global _hooked
    if not _hooked:
        _hooked = True
        # Bound, since the end of the interpreter is heard of when the names of this module are gone.
        sys.addaudithook(partial(_audit, OUTSIDE | CHANGES, _watch.get))


def _audit(
    concerned: frozenset[str], watched: Callable[[], Watch | None], event: str, arguments: tuple[Any, ...]
) -> None:
    watch = watched() if event in concerned else None
    if watch is None:
        return
    if event in OUTSIDE:
        told = ", ".join(repr(argument)[:80] for argument in arguments[-1 if "socket" in event else 0 :][:2])
        raise watch.refuse("outside", f"The step reaches outside without ctx.run: {event} {told}")
    if watch.kept and _changes(event, arguments, watch.kept):
        raise watch.refuse("write", f"The step changes a workspace: {event} {arguments[0]!r:.200}")


def _changes(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    """Say whether what Python's audit tells of changes something in a folder."""
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return False
    places = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
    return any(_is_in(place, folder) for place in places)


def _is_in(place: Any, folder: str) -> bool:
    if not isinstance(place, str | bytes | os.PathLike):
        return False
    found = os.path.realpath(os.fsdecode(place))
    return found == folder or found.startswith(f"{folder}{os.sep}")
