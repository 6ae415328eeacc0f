"""The engine `patch` makes the same patch of a commit and its edits, whatever happens on the way, and no other file."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.patch import Patch
from engines.patch.edits import LONGEST_FILE, at_base, path_trouble
from runtime.choices import State
from runtime.exceptions import InvalidData, InvalidInput
from runtime.models import Artifact, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.store.blobs import read_artifact
from runtime.testing import drain
from runtime.worker.replay.dry import replay
from runtime.workspaces import places
from runtime.workspaces.git import GitFailed
from tests.runtime.workspaces.repositories import commit, git, repository

pytestmark = pytest.mark.django_db

FILES = {"app/settings.py": "DEBUG = True\nNAME = 'shop'\n", "README.md": "Read me.\n", "ü x.txt": "one\ntwo\nthree\n"}
EDITS = [
    {"path": "app/settings.py", "find": "DEBUG = True", "replace": "DEBUG = False"},
    {"path": "ü x.txt", "find": "two", "replace": "zwölf\nzwei"},
    {"path": "app/settings.py", "find": "False", "replace": "bool(0)"},
]


@pytest.fixture(autouse=True)
def source(settings: Any, tmp_path: Path) -> Path:
    """Return a repository to edit, and give the workspaces a folder."""
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "workspaces")
    settings.ROOST_ENGINES = {"patch": "engines.patch.Patch"}
    return repository(tmp_path / "source", FILES)


def put(source: Path, edits: list[dict[str, str]] = EDITS, **more: Any) -> WorkItem:
    """Enqueue the edits."""
    return enqueue("patch", {"source": str(source), "ref": "main", "edits": edits, **more})


def read(item: WorkItem) -> WorkItem:
    """Read the item as it is now."""
    return WorkItem.objects.get(pk=item.pk)


def patch_of(item: WorkItem) -> str:
    """Return the patch that an item has left."""
    [file] = Artifact.objects.filter(work_item=item.pk)
    assert (file.name, file.kind, file.sha256) == ("change.patch", "patch", read(item).result["patch"])
    return read_artifact(file).decode()


@pytest.mark.parametrize("mode", ["worktree", "clone"])
def test_the_patch_applies_to_its_base_and_makes_the_edits(source: Path, mode: str) -> None:
    item = put(source, mode=mode)
    drain(skip_delays=True)
    assert read(item).state == State.DONE, read(item).last_error
    assert (read(item).version, read(item).step_label) == (3, "edit 3 of 3: app/settings.py")
    patch = patch_of(item)
    head = git(source, "rev-parse", "HEAD")
    told = {name: read(item).result[name] for name in ("base", "files", "insertions", "deletions")}
    assert told == {"base": head, "files": 2, "insertions": 3, "deletions": 2}
    (source.parent / "change.patch").write_text(patch)
    git(source, "apply", str(source.parent / "change.patch"))
    assert (source / "app/settings.py").read_text() == "DEBUG = bool(0)\nNAME = 'shop'\n"
    assert (source / "ü x.txt").read_text() == "one\nzwölf\nzwei\nthree\n"


@pytest.mark.parametrize("mode", ["worktree", "clone"])
def test_a_workspace_that_is_lost_or_made_anew_later_changes_nothing(source: Path, mode: str) -> None:
    undisturbed, item = put(source, mode=mode), put(source, mode=mode)
    drain(skip_delays=True, until=lambda: read(undisturbed).state == State.DONE)
    drain(skip_delays=True, max_steps=2)
    assert read(item).version == 2
    commit(source, {"README.md": "Moved on.\n", "app/settings.py": "NOTHING = 1\n"})
    shutil.rmtree(places.place("default", item.pk).path)
    drain(skip_delays=True)
    assert read(item).result == read(undisturbed).result
    assert patch_of(item) == patch_of(undisturbed)


def test_files_that_a_killed_step_left_half_written_are_written_again(source: Path) -> None:
    item = put(source)
    drain(skip_delays=True, max_steps=1)
    folder = places.place("default", item.pk).path
    (folder / "app/settings.py").write_text("torn")
    (folder / "app/.settings.py.roost").write_text("torn")
    drain(skip_delays=True)
    assert "bool(0)" in patch_of(item)
    assert "torn" not in patch_of(item)


@pytest.mark.scenario("S11")
def test_a_run_is_replayed_without_its_workspace(source: Path) -> None:
    item, failed = put(source), put(source, [EDITS[0], {**EDITS[0], "find": "nowhere"}])
    drain(skip_delays=True)
    shutil.rmtree(source)
    for one in (item, failed):
        shutil.rmtree(places.place("default", one.pk).path)
        found = replay(read(one))
        assert found.divergence is None
    assert found.stopped is not None
    assert found.stopped["code"] == "not_found"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ({"path": "gone.txt"}, "no_such_file"),
        ({"path": "app"}, "no_such_file"),
        ({"path": "link/hosts"}, "no_such_file"),
        ({"path": "link"}, "no_such_file"),
        ({"path": ":(top)README.md"}, "no_such_file"),
        ({"path": "binary"}, "no_text"),
        ({"path": "large"}, "too_large"),
        ({"find": "nowhere"}, "not_found"),
        ({"find": "e"}, "ambiguous"),
    ],
)
def test_an_edit_that_cannot_be_made_fails_for_good_and_says_why(source: Path, edit: Any, code: str) -> None:
    (source / "link").symlink_to("/etc")
    (source / "binary").write_bytes(b"\xff\x00x")
    (source / "large").write_text("x" * (LONGEST_FILE + 1))
    commit(source, {})
    item = put(source, [{"path": "README.md", "find": "x", "replace": "y", **edit}])
    drain(skip_delays=True)
    found = read(item)
    assert (found.state, found.last_error["code"]) == (State.FAILED, code)
    assert found.attempt == 1


def test_a_patch_that_is_too_large_fails_the_item_and_is_not_read_whole(source: Path, settings: Any) -> None:
    settings.ROOST_MAX_RESULT_BYTES = 300
    item = put(source, [{"path": "README.md", "find": "Read me.", "replace": "x" * 300}])
    drain(skip_delays=True)
    found = read(item)
    assert (found.state, found.last_error["code"]) == (State.FAILED, "too_large")
    assert "The patch has more than 300 bytes" in found.last_error["message"]


def test_a_checkout_that_fails_is_tried_again_and_one_whose_base_is_gone_is_not(source: Path) -> None:
    items = [put(source), put(source)]
    drain(skip_delays=True, until=lambda: all(read(item).version for item in items))
    first = git(source, "rev-parse", "HEAD")
    locked, gone = (places.place("default", item.pk).path for item in items)
    git(locked, "commit", "--allow-empty", "--quiet", "--message", "elsewhere")
    own = Path(git(locked, "rev-parse", "--absolute-git-dir"))
    (own / "index.lock").touch()
    with pytest.raises(GitFailed, match=r"index\.lock"):
        asyncio.run(at_base(locked, first))
    with pytest.raises(InvalidData, match="has no commit 000000000000 any more"):
        asyncio.run(at_base(gone, "0" * 40))


def test_a_folder_that_was_replaced_by_a_link_is_not_followed(source: Path, tmp_path: Path) -> None:
    item = put(source)
    drain(skip_delays=True, max_steps=1)
    folder = places.place("default", item.pk).path
    shutil.rmtree(folder / "app")
    (tmp_path / "outside").mkdir()
    (folder / "app").symlink_to(tmp_path / "outside")
    drain(skip_delays=True)
    assert read(item).state == State.FAILED
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.scenario("B10")
@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "-x", "a\nb", "a\\b"),
        *(
            ".git/config",
            "sub/.git/hooks/x",
            ".GIT/config",
            ".git./config",
            "git~1/config",
            ".git::$INDEX_ALLOCATION/x",
        ),
    ],
)
def test_a_path_that_leads_out_of_the_files_is_refused(source: Path, path: str) -> None:
    assert path_trouble(path)
    with pytest.raises(InvalidInput, match="Edit 1"):
        put(source, [{"path": path, "find": "x", "replace": "y"}])


@pytest.mark.parametrize("path", [".gitignore", ".github/x.yml", "a.git/x", "ü x.txt", "git/x"])
def test_an_ordinary_path_is_taken(path: str) -> None:
    assert path_trouble(path) == ""


@pytest.mark.parametrize(
    "more",
    [
        {"edits": []},
        {"edits": "x"},
        {"edits": [{"path": "a"}]},
        {"edits": [{**EDITS[0], "find": ""}]},
        {"edits": [{**EDITS[0], "replace": 7}]},
        {"edits": [EDITS[0]] * 201},
        {"source": "ext::sh -c x"},
        {"source": 7},
        {"ref": "--x"},
        {"mode": "copy"},
        {"unknown": 1},
    ],
)
def test_a_payload_that_makes_no_sense_is_refused(source: Path, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Patch().check_payload({"source": str(source), "edits": EDITS, **more})
