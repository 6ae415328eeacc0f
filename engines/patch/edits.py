"""Edits of text files: checked, applied, written. What comes of them depends on the base commit and the edits alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.payload import check_fields, check_text
from runtime.exceptions import InvalidData, InvalidInput
from runtime.workspaces.git import GitFailed, agit

LONGEST_PATH = 1_000
LONGEST_TEXT = 100_000
LONGEST_FILE = 4 * 1024 * 1024
"""Bytes of a file that is edited: it is read whole."""
MOST_EDITS = 200
PLAIN_FILES = ("100644", "100755")

Edit = Mapping[str, str]


def check_edits(edits: Any) -> None:
    """Raise `InvalidInput` unless these are edits: [{"path", "find", "replace"}, …]."""
    if not isinstance(edits, list) or not 1 <= len(edits) <= MOST_EDITS:
        raise InvalidInput(f"edits must be an array of 1 to {MOST_EDITS} edits.", field="payload.edits")
    for place, edit in enumerate(edits):
        try:
            _check_edit(edit)
        except InvalidInput as error:
            raise InvalidInput(f"Edit {place + 1}: {error}", field=f"payload.edits[{place}]") from None


def _check_edit(edit: Any) -> None:
    fields = check_fields(edit, required=["path", "find", "replace"])
    check_text(fields, "path", longest=LONGEST_PATH)
    for name in ("find", "replace"):
        check_text(fields, name, longest=LONGEST_TEXT)
    trouble = path_trouble(fields["path"])
    if trouble:
        raise InvalidInput(f"path is {fields['path']!r:.200}: {trouble}", field="path")
    if not fields["find"]:
        raise InvalidInput("find is empty; it must be text that the file has once.", field="find")


def path_trouble(path: str) -> str:
    """Say what keeps this from being the path of a file in a repository; nothing ("") if it can be one. Pure."""
    parts = path.split("/")
    if not path.isprintable() or "\\" in path:
        return "it holds backslashes or control characters."
    if any(part in ("", ".", "..") for part in parts) or path.startswith("-"):
        return "it must be relative to the repository, without '.', '..', empty parts or a leading '-'."
    return "it leads into git's own files." if any(_is_gits(part) for part in parts) else ""


def _is_gits(part: str) -> bool:
    # Some file systems fold case, and drop dots and spaces at the end.
    return part.lower().rstrip(". ") in (".git", "git~1") or part.lower().startswith(".git:")


async def write_edited(folder: Path, base: str, path: str, edits: Sequence[Edit]) -> None:
    """Give a file what it has in the base commit, with these edits. Whole or not at all; run twice, it is the same."""
    text = apply(await original(folder, base, path), path, edits)
    target = folder / path
    if target.parent.resolve() != folder.resolve().joinpath(*path.split("/")[:-1]):
        raise InvalidData(f"{path} leads out of the workspace: a folder on its way was replaced by a link.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.roost")
    mode = target.stat().st_mode & 0o777 if target.is_file() and not target.is_symlink() else 0o644
    draft.unlink(missing_ok=True)
    draft.write_bytes(text.encode())
    draft.chmod(mode)
    draft.replace(target)


async def original(folder: Path, base: str, path: str) -> str:
    """Return what a file has in the base commit. Raises `InvalidData` unless it is a text file of a fair size there."""
    listed = await agit("--literal-pathspecs", "ls-tree", "-z", "--long", base, "--", path, folder=folder)
    if not listed.startswith(PLAIN_FILES) or listed.count("\0") != 1:
        raise InvalidData(f"{path} is no file in {base[:12]}.", code="no_such_file", details={"path": path})
    size = int(listed.split("\t", 1)[0].split()[3])
    if size > LONGEST_FILE:
        raise InvalidData(
            f"{path} has {size} bytes; this engine edits files of at most {LONGEST_FILE}.",
            code="too_large",
            details={"path": path, "size": size},
        )
    try:
        # What is no UTF-8 came with surrogates, which no UTF-8 can be made of.
        text = await agit("cat-file", "blob", f"{base}:{path}", folder=folder)
        text.encode()
    except UnicodeEncodeError:
        raise InvalidData(f"{path} is no UTF-8 text.", code="no_text", details={"path": path}) from None
    return text


def apply(text: str, path: str, edits: Sequence[Edit]) -> str:
    """Return the text with the edits, one after the other. Raises `InvalidData` unless each finds its text once."""
    for edit in edits:
        times = text.count(edit["find"])
        if times != 1:
            raise InvalidData(
                f"{path} has {edit['find']!r:.80} {times} times; an edit replaces what is there once.",
                code="not_found" if times == 0 else "ambiguous",
                details={"path": path, "times": times},
            )
        text = text.replace(edit["find"], edit["replace"])
    return text


async def at_base(folder: Path, base: str) -> None:
    """See to it that the checkout is that of the base commit: a workspace that was made anew may be a later one's."""
    if (await head(folder)) == base:
        return
    try:
        await agit("cat-file", "-e", f"{base}^{{commit}}", folder=folder)
    except GitFailed as error:
        raise InvalidData(f"The workspace has no commit {base[:12]} any more: {error}", code="base_gone") from error
    await agit("checkout", "--detach", "--force", "--quiet", base, folder=folder)


async def head(folder: Path) -> str:
    """Return the commit that is checked out."""
    return (await agit("rev-parse", "--verify", "HEAD^{commit}", folder=folder)).strip()
