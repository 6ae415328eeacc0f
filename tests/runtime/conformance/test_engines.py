"""The kit lets engines pass that keep to the contract, and catches each that does not."""

from __future__ import annotations

import pytest

from runtime.conformance import check_engine
from runtime.engine import Engine
from runtime.models import WorkItem
from tests.ledger.models import Entry
from tests.processes.service import serving
from tests.runtime.conformance.broken_engines import BROKEN, Honest

pytestmark = pytest.mark.django_db


def test_engines_that_keep_to_the_contract_pass() -> None:
    for engine, payload in (
        (Honest(), {"to": 3}),
        ("counter", {"count_to": 3, "fail_at": 2}),
        ("hop", {"steps": 3}),
        ("write", {"steps": 3}),
        ("gather", {"kids": 2, "engine": "hop"}),
    ):
        report = check_engine(engine, [payload])  # type: ignore[arg-type]
        assert report.broken == [], str(report)
        assert report.levels["pure"] == report.levels["JSON"] == report.levels["begin"] == "kept"
    assert not Entry.objects.exists()
    assert not WorkItem.objects.exists()


def test_an_engine_with_calls_approval_child_and_signal_is_walked_through_by_its_answers() -> None:
    with serving() as service:
        payload = {"service": service.url, "order": "A-7", "amount": 120}
        short = check_engine("refund", [payload])
        assert short.ok
        assert "asks for 'refund'" in str(short)
        whole = check_engine("refund", [payload], answers={"refund": True, "letter": [], "settled": {"bank": "ok"}})
        assert whole.broken == [], str(whole)
        assert whole.levels["idempotent"] == "kept"
        # A walk for each of the two checks; in each walk a call is made once.
        assert [service.made(path) for path in ("/ratings", "/payments")] == [2, 1]
        assert service.requests["/payments"] == 1


@pytest.mark.parametrize("engine", BROKEN, ids=[one.__name__ for one in BROKEN])
def test_an_engine_that_breaks_a_promise_is_caught(engine: type[Engine]) -> None:
    report = check_engine(engine(), [{"to": 2}])
    assert not report.ok
    assert report.levels[BROKEN[engine]] == "broken", str(report)


def test_a_payload_that_the_engine_refuses_is_told() -> None:
    report = check_engine("counter", [{"count_to": -1}])
    assert report.levels["begin"] == "broken"
    assert "count_to" in str(report)
