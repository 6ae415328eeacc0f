"""Two workers and the last place of a quota, one held at the lock until the other has committed."""

from __future__ import annotations

import pytest
from django.db import transaction

from runtime.journal import Quota
from runtime.journal.entries import Answer
from tests.contracts.builders import Together, until, waiting_for_locks
from tests.contracts.test_store_quotas import begin, items, one

pytestmark = pytest.mark.django_db(transaction=True)

LAST = Quota(most=1, seconds=3600.0)


@pytest.mark.scenario("S12")
@pytest.mark.parametrize("commits", [True, False])
def test_who_counts_second_waits_for_the_first_and_sees_what_it_wrote(commits: bool) -> None:
    first, second = items(2)
    with transaction.atomic():
        assert one(begin(first, "a", LAST)).answer is Answer.WRITTEN
        waiting = Together([lambda: one(begin(second, "a", LAST)).answer])
        until(lambda: waiting_for_locks() == 1, "the second worker's wait for the lock")
        transaction.set_rollback(not commits)
    assert waiting.results() == [Answer.SPENT if commits else Answer.WRITTEN]


def test_other_tools_and_runs_wait_for_nobody() -> None:
    first, second = items(2)
    with transaction.atomic():
        one(begin(first, "a", LAST))
        others = [begin(second, "a", LAST, name="other"), begin(second, "b", Quota(most=1)), begin(second, "c")]
        assert Together([lambda: [one(write).answer for write in others]]).results() == [[Answer.WRITTEN] * 3]
