"""Whatever stands on the command line, a command says in a line what is wrong with it, and ends with 2 or 3."""

from __future__ import annotations

import pytest

from tests.factories import ArtifactFactory
from tests.runtime.management.cli import refused

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L15")]

DEEP = "[" * 100_000
NO_TEXT = "a\udcffb"
"""What Python makes of a byte on the command line that is no UTF-8."""

WRONG: dict[str, tuple[object, ...]] = {
    "a byte that is no text, in a filter": ("list", "--engine", NO_TEXT),
    "a byte that is no text, in a name": ("webhook-targets", "remove", NO_TEXT),
    "a byte that is no text, one of several": ("cancel", "ffff", NO_TEXT),
    "a byte that is no text, in an engine": ("enqueue", "--engine", NO_TEXT),
    "a page behind no wait": ("waits", "list", "--before", "ffff"),
    "a page behind no question": ("approvals", "list", "--before", "x"),
    "an answer nested too deeply": ("respond", "ITEM", "--value", DEEP),
    "a signal nested too deeply": ("signal", "go", "--payload", DEEP),
    "a resource nested too deeply": ("enqueue", "--engine", "counter", "--resource", '{"key":' + DEEP),
    "a payload nested too deeply": ("enqueue", "--engine", "counter", "--payload", DEEP),
    "days without end": ("token", "create", "ci", "--scope", "read", "--days", "inf"),
    "days that are no number": ("token", "create", "ci", "--scope", "read", "--days", "nan"),
    "days beyond the calendar": ("token", "create", "ci", "--scope", "read", "--days", "1e12"),
    "a page of resources before the first": ("resources", "--after", "-1"),
    "a page of less than nothing": ("workspaces", "list", "--limit", "-1"),
    "a page larger than any": ("workspaces", "list", "--limit", 2**63),
    "a page of resources beyond all": ("resources", "--after", 2**63),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_on_the_command_line_is_told_in_a_line(name: str) -> None:
    item = str(ArtifactFactory().work_item_id)
    code, message = refused(*(item if word == "ITEM" else word for word in WRONG[name]))
    assert code == 2
    assert len(message) < 1_000


@pytest.mark.parametrize("name", ["x" * 60_000, "%", "[" * 5_000, "0123456_", "f" * 65])
def test_an_artifact_of_a_name_that_none_can_have_is_not_there(name: str) -> None:
    assert refused("artifacts", "show", ArtifactFactory().work_item_id, name)[0] == 3


def test_a_file_may_have_any_name(tmp_path: object) -> None:
    assert refused("import", f"{tmp_path}/{NO_TEXT}")[0] == 2
    assert "cannot be read" in refused("import", f"{tmp_path}/{NO_TEXT}")[1]
