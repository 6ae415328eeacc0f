"""References cannot be mistaken for values, nor values for references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime import artifacts, offload
from runtime.exceptions import CorruptArtifact, NotJSON
from runtime.offload import KEY, LEAST, Reference

SHA = "ab" * 32
TEXT = json.dumps({"words": "é" * 10})


@pytest.mark.parametrize("text", [Reference(SHA, 7).text, json.dumps({KEY: {"size": 7, "sha256": SHA}})])
def test_a_reference_is_known_in_our_spelling_and_in_the_databases(text: str) -> None:
    assert offload.in_text(text) == offload.in_value(json.loads(text)) == Reference(SHA, 7)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        KEY,
        {KEY: SHA},
        {KEY: {"sha256": SHA}},
        {KEY: {"sha256": "../" + SHA[3:], "size": 7}},
        {KEY: {"sha256": SHA, "size": "7"}},
        {KEY: {"sha256": SHA, "size": 7}, "more": 1},
        {"in": {KEY: {"sha256": SHA, "size": 7}}},
    ],
)
def test_nothing_else_is_a_reference(value: Any) -> None:
    assert offload.in_value(value) is None
    assert offload.in_text(json.dumps(value)) is None
    assert offload.whole(value) is value


def test_a_value_that_looks_like_a_reference_is_refused() -> None:
    with pytest.raises(NotJSON, match="keeps for itself") as caught:
        offload.refuse_reference(Reference(SHA, 7).text, "payload")
    assert caught.value.field == "payload"
    offload.refuse_reference('{"other":{"$roost.offloaded":1}}', "payload")


@pytest.mark.parametrize(
    ("setting", "length", "large"),
    [
        (None, 10 * LEAST, False),
        (0, 10 * LEAST, False),
        (2 * LEAST, 2 * LEAST, False),
        (2 * LEAST, 2 * LEAST + 1, True),
        (1, LEAST, False),
        (1, LEAST + 1, True),
    ],
)
def test_what_is_longer_than_the_setting_is_large_but_nothing_short(
    settings: Any, setting: int | None, length: int, large: bool
) -> None:
    settings.ROOST_OFFLOAD_BYTES = setting
    assert offload.is_large("x" * length) is large
    assert offload.is_large(None) is False


def test_a_value_comes_back_as_it_was_and_a_changed_one_does_not(folder: Path) -> None:
    prepared = offload.prepared(TEXT)
    artifacts.write(prepared)
    reference = Reference(prepared.sha256, prepared.size)
    assert offload.whole(json.loads(reference.text)) == json.loads(TEXT)
    assert offload.whole_text(reference.text, "state") == TEXT
    (folder / prepared.path).write_text(TEXT.replace("words", "Words"))
    with pytest.raises(CorruptArtifact, match=rf"The state of it was moved .*{prepared.sha256}.*redrive"):
        offload.load(reference, "state of it")
