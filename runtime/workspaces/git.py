"""Run git: without prompts, hooks, submodules or protocols that run programs, and with a time limit.

Nothing here goes through a shell. What a caller does not write himself (a source, a ref, a path) is checked before
(`Workspace.check`) and comes after `--`. Git dies with this process, and holds the lock of the workspace that it works
in until it has: whoever has the lock has the workspace for himself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.conf import settings as roost
from runtime.exceptions import InvalidData, RetryableError, WorkspaceUnavailable
from runtime.jsondata import clean
from runtime.workspaces.leash import leashed
from runtime.workspaces.places import shared_locks

ALWAYS = {
    "advice.detachedHead": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "worktree.useRelativePaths": "false",
}
ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "GIT_ASKPASS": "",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS": "",
}
KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH", "GIT_SSH", "GIT_SSL_")
"""Beginnings of those variables of git's that are the operator's; others would point it to another repository."""
LAST_WORDS = 500
CHUNK = 65_536
MOST_OUTPUT = 64 * 1024 * 1024
"""Bytes that `agit` takes of what git prints, unless it is told otherwise."""


class GitFailed(RetryableError):
    """A git command ended with an error; `details` say which, and what it said."""

    code = "git_failed"


class TooMuch(InvalidData):
    """Git printed more than was wanted, and was ended."""

    code = "too_large"


def git(*arguments: str | Path, folder: Path, seconds: float | None = None, keep_open: Sequence[int] = ()) -> str:
    """Run git in a folder, and return what it prints, with line ends as they are.

    Takes `seconds` at the most (None: `ROOST_WORKSPACE_SECONDS`); then everything it started is killed. It inherits the
    descriptors of `keep_open`. Raises `GitFailed`, or `WorkspaceUnavailable` when it is missing or takes too long.
    """
    limit = roost.WORKSPACE_SECONDS if seconds is None else seconds
    command, told = _command(arguments), environment()
    with leashed(command) as (started, leash), shared_locks(folder) as locks:
        try:
            process = subprocess.Popen(
                started,
                cwd=folder,
                env=told,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(leash, *locks, *keep_open),
            )
        except OSError as error:
            raise _not_started(error, folder) from error
        with process:
            try:
                out, err = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise _too_long(command, limit) from None
            finally:
                _end(process.pid, process.poll())
    return _printed(command, process.returncode, out, err)


async def agit(
    *arguments: str | Path, folder: Path, seconds: float | None = None, most: int = MOST_OUTPUT, what: str = ""
) -> str:
    """Do what `git()` does without blocking the event loop; a cancelled step takes it along.

    Raises `TooMuch` (permanent) when git prints more than `most` bytes; `what` names that for people.
    """
    limit = roost.WORKSPACE_SECONDS if seconds is None else seconds
    command, told = _command(arguments), environment()
    with leashed(command) as (started, leash), shared_locks(folder) as locks:
        try:
            process = await asyncio.create_subprocess_exec(
                *started,
                cwd=folder,
                env=told,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(leash, *locks),
            )
        except OSError as error:
            raise _not_started(error, folder) from error
        try:
            async with asyncio.timeout(limit):
                out, err = await _output(process, most, what or f"What git {_verb(command)} prints")
        except TimeoutError:
            raise _too_long(command, limit) from None
        finally:
            if process.returncode is None:
                _end(process.pid, None)
                await process.wait()
    return _printed(command, process.returncode or 0, out, err)


async def _output(process: asyncio.subprocess.Process, most: int, what: str) -> tuple[bytes, bytes]:
    """Return what a process prints, and the end of what it says of errors. Raises `TooMuch`."""
    told, said = process.stdout, process.stderr
    if told is None or said is None:
        raise RuntimeError("The process was started without pipes.")
    words = asyncio.ensure_future(_last(said))
    out = bytearray()
    try:
        while piece := await told.read(CHUNK):
            out += piece
            if len(out) > most:
                raise TooMuch(f"{what} has more than {most} bytes.", details={"most": most})
        err = await words
    finally:
        words.cancel()
    await process.wait()
    return bytes(out), err


async def _last(said: asyncio.StreamReader) -> bytes:
    kept = b""
    while piece := await said.read(CHUNK):
        kept = (kept + piece)[-4 * LAST_WORDS :]
    return kept


def environment() -> dict[str, str]:
    """Return the environment that git runs in. It looks for no repository above the root of the workspaces."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(KEPT)}
    ssh = {} if "GIT_SSH" in own or "GIT_SSH_COMMAND" in own else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    root: str | None = roost.WORKSPACES_ROOT
    ceiling = {"GIT_CEILING_DIRECTORIES": os.path.realpath(root)} if root else {}
    return {**own, **ssh, **ceiling, **ENVIRONMENT}


def _command(arguments: Sequence[str | Path]) -> list[str]:
    """Return the command. Raises `WorkspaceUnavailable` where there is no git."""
    program = shutil.which("git")
    if program is None:
        raise WorkspaceUnavailable(
            "git is not installed on this host: workspaces need it. Install it, or keep the "
            "engines that use it off this worker with --engines or --pools."
        )
    always = [part for name, value in ALWAYS.items() for part in ("-c", f"{name}={value}")]
    return [program, *always, *map(str, arguments)]


def _verb(command: Sequence[str]) -> str:
    """Return the name of the git command, which comes after the options of git itself."""
    rest = iter(command[1:])
    for part in rest:
        if part == "-c":
            next(rest)
        elif not part.startswith("-"):
            return part
    return ""


def _end(group: int, returncode: int | None) -> None:
    if returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _printed(command: Sequence[str], code: int, out: bytes, err: bytes) -> str:
    if code == 0:
        return out.decode(errors="surrogateescape")
    said = clean(err.decode(errors="replace")).strip()[-LAST_WORDS:]
    verb = _verb(command)
    raise GitFailed(f"git {verb} failed: {said or f'exit code {code}'}", details={"exit_code": code, "said": said})


def _too_long(command: Sequence[str], limit: float) -> WorkspaceUnavailable:
    verb = _verb(command)
    return WorkspaceUnavailable(f"git {verb} took longer than {limit:g} s (ROOST_WORKSPACE_SECONDS) and was ended.")


def _not_started(error: OSError, folder: Path) -> WorkspaceUnavailable:
    return WorkspaceUnavailable(f"git cannot be run in {folder}: {error.strerror}.")
