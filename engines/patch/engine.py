"""Edit files of a git repository, one edit a step, and leave the change as a patch.

    {"source": "/srv/repositories/shop", "ref": "main",
     "edits": [{"path": "app/settings.py", "find": "DEBUG = True", "replace": "DEBUG = False"}]}

`source`, `ref` and `mode` ("worktree" or "clone") say what the item's workspace is made from; `find` has to be in the
file exactly once. The last step stores the artifact `change.patch`; the result is {"patch": its sha256, "base": the
commit it applies to, "files": n, "insertions": n, "deletions": n}.

Every file is written from the base commit and the edits so far, so that a step which was killed half-way, or a
workspace that was lost, changes nothing about the patch. What is done in the workspace is done in recorded calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.patch.edits import Edit, at_base, check_edits, head, write_edited
from engines.payload import check_fields, check_text
from runtime.conf import settings as roost
from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.exceptions import InvalidInput, WorkspaceRefused
from runtime.step import StepContext
from runtime.workspaces import MAX_REF, MAX_SOURCE, Workspace
from runtime.workspaces.git import agit

PATCH = "change.patch"
_DIFF = (
    *("-c", "core.quotePath=true", "-c", f"diff.orderFile={os.devnull}"),
    *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--text", "--no-renames", "--diff-algorithm=myers"),
)
_AS_PATCH = ("--patch", "--unified=3", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")


class Patch(Engine):
    """One edit a step; its state is {"base": commit, "done": edits made}."""

    engine_id = "patch"

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(payload, required=["source", "edits"], optional=["ref", "mode"])
        check_text(fields, "source", longest=MAX_SOURCE)
        check_text(fields, "ref", longest=MAX_REF)
        check_edits(fields["edits"])
        try:
            _workspace(fields).check()
        except WorkspaceRefused as error:
            raise InvalidInput(str(error), field="payload.source") from None
        if not fields["source"].startswith("/") and not roost.WORKSPACE_SOURCES:
            raise InvalidInput(
                "A payload may name a source on another host only where ROOST_WORKSPACE_SOURCES says which.",
                field="payload.source",
            )

    def workspace_for(self, item: Item) -> Workspace:
        """Take the source from the payload; what failed stays, to be looked at."""
        return _workspace(item.payload)

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with no edit made."""
        return {"base": "", "done": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Make the next edit; after the last one, store the patch."""
        folder, edits = await ctx.aworkspace(), item.payload["edits"]
        base = snapshot.data["base"] or await ctx.run("base", head, folder, input={})
        number = snapshot.data["done"] + 1
        edit = edits[number - 1]
        await ctx.run(f"edit {number}", make_edit, folder, base, edits[:number], input={"base": base, "edit": edit})
        state, label = {"base": base, "done": number}, f"edit {number} of {len(edits)}: {edit['path']}"
        if number < len(edits):
            return Continue(state, label=label)
        told = await ctx.run("diff", make_patch, folder, base, edits, input={"base": base})
        sha256 = await ctx.aartifact(PATCH, told.pop("text"), kind="patch", content_type="text/x-patch")
        return Complete({"patch": sha256, "base": base, **told}, state, label)


def _workspace(payload: Mapping[str, Any]) -> Workspace:
    return Workspace(
        source=payload["source"],
        ref=payload.get("ref", "HEAD"),
        mode=payload.get("mode", "worktree"),
        keep="until_done",
    )


async def make_edit(folder: Path, base: str, edits: Sequence[Edit]) -> None:
    """Make the last of these edits, on top of those of its file before it."""
    path = edits[-1]["path"]
    await at_base(folder, base)
    await write_edited(folder, base, path, [edit for edit in edits if edit["path"] == path])


async def make_patch(folder: Path, base: str, edits: Sequence[Edit]) -> dict[str, Any]:
    """Return the difference between the base commit and all edits, as text, and how much it is."""
    await at_base(folder, base)
    paths = list(dict.fromkeys(edit["path"] for edit in edits))
    for path in paths:
        # Also those that were written before: the workspace may have been lost in between.
        await write_edited(folder, base, path, [edit for edit in edits if edit["path"] == path])
    most: int = roost.MAX_RESULT_BYTES
    shown = ("--literal-pathspecs", *_DIFF, *_AS_PATCH, base, "--", *paths)
    text = await agit(*shown, folder=folder, most=most, what="The patch")
    counts = (await agit("--literal-pathspecs", *_DIFF, "--numstat", base, "--", *paths, folder=folder)).splitlines()
    added, removed = (sum(int(line.split("\t")[column]) for line in counts) for column in (0, 1))
    return {"text": text, "files": len(counts), "insertions": added, "deletions": removed}
