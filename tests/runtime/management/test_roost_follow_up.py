from __future__ import annotations

import pytest

from runtime.models import Wait
from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, refused

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("S15")
def test_an_ended_item_is_reopened_with_new_input() -> None:
    item = WorkItemFactory(done=True)
    [moved] = document("follow-up", item.pk, "--input", '{"more": 1}', "--reason", "again")["moved"]
    assert moved == {"id": str(item.pk), "state": "queued", "reason": "follow_up"}
    assert Wait.objects.get().resolution == {"more": 1}
    assert refused("follow-up", item.pk)[0] == 1
    code, message = refused("follow-up", item.pk, "--input", "{")
    assert (code, message.partition(":")[0]) == (2, "The input is no JSON")
