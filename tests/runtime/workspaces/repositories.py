"""Repositories to make workspaces from."""

from __future__ import annotations

import subprocess
from pathlib import Path

WHO = {"GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@example.com"}
COMMITTER = {"GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@example.com"}
FILES = {"README.md": "Read me.\n", "src/main.py": "print('one')\n"}


def git(folder: Path, *arguments: str) -> str:
    """Run git as a developer would, without anybody's configuration."""
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    ran = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment | WHO | COMMITTER, check=True, capture_output=True, text=True
    )
    return ran.stdout.strip()


def repository(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Make a repository with one commit on `main`, tagged v1."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, files or FILES)
    git(folder, "tag", "v1")
    return folder


def commit(folder: Path, files: dict[str, str]) -> str:
    """Commit these files and return the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "more")
    return git(folder, "rev-parse", "HEAD")
