"""Each attempt of each call has a question of its own, so that no answer is taken for another's."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.journal.call import MAX_KEY
from runtime.journal.entries import call_asked_about, question_key
from runtime.worker.asking import MAX_KEY as LONGEST_QUESTION

pytestmark = pytest.mark.plain

KEYS = st.text(min_size=1, max_size=MAX_KEY)
ATTEMPTS = st.integers(1, 99)


@given(KEYS, ATTEMPTS, KEYS, ATTEMPTS)
@example("charge", 2, "charge:2", 1)
@example("charge", 2, "2:charge", 1)
def test_two_attempts_are_never_asked_about_under_one_key(one: str, first: int, other: str, second: int) -> None:
    same = (one, first) == (other, second)
    assert (question_key(one, first) == question_key(other, second)) is same


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=MAX_KEY), ATTEMPTS)
def test_a_question_tells_its_call_and_is_no_longer_than_a_question_may_be(key: str, attempts: int) -> None:
    question = question_key(key, attempts)
    assert call_asked_about(question) == key
    assert len(question) <= LONGEST_QUESTION


def test_other_questions_are_about_no_call() -> None:
    for key in ("refund", "journal", "journal:", "journal0:x", "journalist:x", "tool:journal:x", "a journal:x"):
        assert call_asked_about(key) is None
