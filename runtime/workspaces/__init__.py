"""Workspaces: a git checkout for each item, at the same path for every step and after every crash.

    class Fix(Engine):
        workspace = Workspace(source="https://git.example.com/shop.git", ref="main", mode="clone")

        async def step(self, snapshot, item, ctx):
            folder = await ctx.aworkspace()

    <ROOST_WORKSPACES_ROOT>/<namespace>/<item id>/     the checkout
    <ROOST_WORKSPACES_ROOT>/.roost/locks/<item id>     held by the process whose step works in it
    <ROOST_WORKSPACES_ROOT>/.roost/records/<id>.json   what it was made from, its last owner's epoch, how long it stays
    <ROOST_WORKSPACES_ROOT>/.roost/making/             checkouts that are being made, or removed

A checkout is made aside and renamed: the path is there whole or not at all, whoever is killed when. A step that uses
its workspace holds the lock until it ends or its process does, so that the next owner of the item does not begin beside
one that has lost it; and one that has lost it is refused (`Fenced`) by the epoch in the record.

    git       runs git: no prompts, hooks, odd protocols or submodules, and a time limit
    leash     lets it die with its worker
    places    paths, locks and records
    making    makes the checkout and hands it over
    clearing  removes it

A workspace is no store: what must outlive its host belongs into an artifact.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from runtime.conf import settings as roost
from runtime.exceptions import WorkspaceRefused

MAX_SOURCE = 2_000
MAX_REF = 250
SCHEMES = ("https", "ssh")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*\Z")
_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]-]*\Z")
_HIDDEN = re.compile(r"%(?:2e|2f|5c|25)", re.IGNORECASE)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """What an item's files are made from, and how long they stay.

    `source` is the absolute path of a repository on this host, or an https or ssh URL; `ref` a branch, tag or commit.
    Mode "worktree" (a path only) shares the objects and branches of the source, "clone" shares nothing. `keep` is
    "always", "until_done" (what failed or was cancelled stays), "until_ended", or days after the end.
    """

    source: str
    ref: str = "HEAD"
    mode: Literal["worktree", "clone"] = "worktree"
    keep: Literal["always", "until_done", "until_ended"] | float = "until_ended"

    def check(self) -> None:
        """Raise `WorkspaceRefused` for what must not be handed to git."""
        trouble = self._trouble_with_source() or self._trouble_with_the_rest()
        if trouble:
            # What stands before an @ may be a password.
            source = "the source" if "@" in str(self.source) else f"{self.source!r:.200}"
            raise WorkspaceRefused(f"No workspace can be made from {source} at {self.ref!r:.80}: {trouble}")

    def _trouble_with_source(self) -> str:
        source = self.source
        if not isinstance(source, str) or not source.isprintable() or len(source) > MAX_SOURCE:
            return f"the source must be printable text of at most {MAX_SOURCE} characters."
        if ".." in source.split("/") or "::" in source:
            return "the source must not hold '..' or '::'."
        allowed: list[str] = roost.WORKSPACE_SOURCES
        if allowed and not any(_is_under(_resolved(source), _resolved(one)) for one in allowed):
            return "ROOST_WORKSPACE_SOURCES does not allow the source."
        if not source.startswith("/"):
            return _trouble_with_url(source)
        root = roost.WORKSPACES_ROOT
        if root and _is_under(os.path.realpath(source), os.path.realpath(root)):
            return "the source is another item's workspace."
        return ""

    def _trouble_with_the_rest(self) -> str:
        if self.mode not in ("worktree", "clone"):
            return "the mode must be 'worktree' or 'clone'."
        if self.mode == "worktree" and not self.source.startswith("/"):
            return "a worktree needs a repository on this host. Give its path, or mode 'clone'."
        if not isinstance(self.ref, str) or len(self.ref) > MAX_REF or not _REF.match(self.ref) or ".." in self.ref:
            return "the ref must be the name of a branch or tag, or a commit."
        return "" if is_policy(self.keep) else "keep must be 'always', 'until_done', 'until_ended' or days, 0 or more."


def is_policy(keep: object) -> bool:
    """Say whether this tells how long a workspace stays."""
    if isinstance(keep, bool) or not isinstance(keep, int | float):
        return keep in ("always", "until_done", "until_ended")
    return 0 <= keep <= 36_500


def _resolved(source: str) -> str:
    """Return a path with its links followed, so that none leads out of what is allowed; a URL as it is."""
    return os.path.realpath(source) if source.startswith("/") else source


def _is_under(source: str, allowed: str) -> bool:
    return source == allowed or source.startswith(f"{allowed.rstrip('/')}/")


def _trouble_with_url(source: str) -> str:
    try:
        parts = urlsplit(source)
        host, user = parts.hostname or "", parts.username
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        return "the source is no URL."
    if _HIDDEN.search(source) or "\\" in source:
        return "the source must not hold dots, slashes or percent signs in an encoded form, nor backslashes."
    if parts.scheme not in SCHEMES:
        return f"the source must be an absolute path, or a URL with {' or '.join(SCHEMES)}."
    if parts.password is not None or (user is not None and (parts.scheme != "ssh" or not _USER.match(user))):
        return "the source must not hold a user's name (but for ssh) or password, which would be kept and shown."
    return "" if _HOST.match(host) and " " not in source else "the source names no host that could be asked."
