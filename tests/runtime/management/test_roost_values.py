"""`roost value` prints a value whole, wherever it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime import artifacts, offload
from runtime.offload import Reference
from tests.runtime.management.cli import document, refused, run
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def kept(value: object) -> Reference:
    """Put a value into the storage and return the reference to it."""
    prepared = offload.prepared(json.dumps(value))
    artifacts.write(prepared)
    return Reference(prepared.sha256, prepared.size)


def test_value_prints_what_lies_in_the_storage_and_what_does_not(folder: Path) -> None:
    reference = kept({"text": "long"})
    item = rows.item(payload=json.loads(reference.text), result={"text": "short"})
    assert json.loads(run("value", item.pk, "payload")) == {"text": "long"}
    assert json.loads(run("value", item.pk, "result")) == {"text": "short"}
    found = document("value", item.pk, "payload")
    assert found["moved"] == {"sha256": reference.sha256, "size": reference.size}
    assert document("value", item.pk, "result")["moved"] is None


def test_value_prints_the_state_after_a_step() -> None:
    item = rows.running(rows.worker(), version=2)
    latest = document("value", item.pk, "state")
    assert (latest["version"], latest["value"]) == (2, {"n": 2})
    assert document("value", item.pk, "state", "--version", 1)["value"] == {"n": 1}
    assert "It has: " in refused("value", item.pk, "state", "--version", 7)[1]


def test_value_says_which_content_is_gone(folder: Path) -> None:
    reference = kept({"text": "long"})
    item = rows.item(payload=json.loads(reference.text))
    (folder / artifacts.path_of(reference.sha256)).unlink()
    _code, message = refused("value", item.pk, "payload")
    assert str(item.pk) in message
    assert reference.sha256 in message
