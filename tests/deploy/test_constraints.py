"""A server gets what it needs, at the versions that were tested, every file checked against its hash."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock import PRODUCTION, entries
from tests.deploy.files import ROOT


def locked(name: str) -> dict[str, str]:
    """Return a file's entries without its head."""
    return {key: text for key, text in entries((ROOT / name).read_text()).items() if not key.startswith("#")}


def needed(extras: set[str]) -> Iterator[str]:
    """Name what the project needs with these extras, and what that needs, as far as it is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    waiting, seen = [Requirement(line) for line in lines], set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen or (one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})):
            continue
        seen.add(key)
        yield key[0]
        for line in metadata.requires(one.name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {*one.extras, ""}):
                inner.marker = None
                waiting.append(inner)


def test_a_servers_packages_are_word_for_word_those_that_were_tested() -> None:
    everything, production = locked("constraints.txt"), locked("constraints-production.txt")
    assert production.items() <= everything.items()
    assert all("--hash=sha256:" in text and "://" not in text for text in production.values())


def test_a_server_gets_all_that_it_needs_and_no_tool() -> None:
    extras = {option.removeprefix("--extra=") for option in PRODUCTION}
    names = {canonicalize_name(key.partition("==")[0]) for key in locked("constraints-production.txt")}
    assert {"django", "uvicorn", "channels-redis", "boto3", "opentelemetry-api"} <= set(needed(extras)) <= names
    assert names.isdisjoint({"pytest", "mypy", "moto", "sphinx", "hypothesis", "ruff", "build"})
