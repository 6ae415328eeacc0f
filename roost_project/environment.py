"""Read the process environment: flags, lists and the secret key."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


def flag(name: str, *, default: bool) -> bool:
    """Read a yes-or-no variable; raise ImproperlyConfigured for any other word."""
    word = os.environ.get(name, "on" if default else "off").strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name} is {word!r}; write 1 or 0.")


def number(name: str, *, default: int) -> int:
    """Read a whole number that is not negative; raise ImproperlyConfigured for anything else."""
    word = os.environ.get(name, "").strip() or str(default)
    if word.isascii() and word.isdigit():
        return int(word)
    raise ImproperlyConfigured(f"{name} is {word!r}; write a whole number.")


def choice(name: str, words: tuple[str, ...]) -> str:
    """Read one of these words, the first where the variable is not set; raise ImproperlyConfigured for any other."""
    word = os.environ.get(name, "").strip().lower() or words[0]
    if word not in words:
        raise ImproperlyConfigured(f"{name} is {word!r}; write {' or '.join(words)}.")
    return word


def secret(name: str) -> str:
    """Read a variable, or the file that the variable `<name>_FILE` names, without the line's end; "" for neither.

    Supervisors hand out files that only the service can read; variables are inherited by whatever it starts. Raises
    ImproperlyConfigured for a file that cannot be read or is empty.
    """
    if value := os.environ.get(name):
        return value
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        value = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from error
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which is empty.")
    return value


def listed(name: str, *, default: tuple[str, ...] = ()) -> list[str]:
    """Read a comma-separated variable."""
    value = os.environ.get(name)
    if value is None:
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def overrides(names: Iterable[str]) -> dict[str, Any]:
    """Read those of `names` that the environment sets: JSON where it is JSON (5, 2.5, null), else text."""
    return {name: _plain(os.environ[name]) for name in names if name in os.environ}


def _plain(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def checkout_key(path: Path) -> str:
    """Read this checkout's own secret key, and make it first if there is none.

    Processes that start at once agree on one key: the first link wins, and no one reads half a file.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
