"""The console's reads on PostgreSQL: at a hundred thousand items none reads more than its windows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from console.admin.base import COUNTED
from runtime.models import WorkItem
from runtime.queries import attention, metrics, overview, pulse, windows, workers
from runtime.queries.windows import WINDOW
from tests.contracts.plans import ITEMS, Plans, blocks, fill, looked_at, watched_reads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SHARE = 3
"""A third of the items is in each state: read by their ids, a window of one state is three windows of all."""
# A third of the items each in state, engine and namespace of their own, all mixed; every fourth has an error and a key.
MIXED = """
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM roost_workitem)
UPDATE roost_workitem w SET
    state = (ARRAY['queued', 'failed', 'done'])[n % 3 + 1],
    engine = CASE WHEN n % 1000 = 0 THEN 'rare' ELSE (ARRAY['counter', 'other'])[n % 2 + 1] END,
    namespace = CASE WHEN n % 500 = 0 THEN 'small' WHEN n % 2 = 0 THEN 'big' ELSE 'default' END,
    idempotency_key = CASE WHEN n % 4 = 0 THEN 'key-' || n END,
    attempt = CASE WHEN n % 30 = 0 THEN 1 ELSE 0 END,
    fingerprint = CASE WHEN n % 3 = 1 THEN 'f' || n % 50 ELSE '' END,
    last_error = CASE WHEN n % 3 = 1 THEN '{"type": "X", "message": "it timed out"}'::jsonb END,
    payload = jsonb_build_object('n', n), finished_at = created_at, parent_id = NULL
FROM numbered WHERE numbered.id = w.id
"""
SEARCHES = [
    *("state:failed", "engine:rare", "engine:counter", "namespace:small", "namespace:big", "namespace:default"),
    *("key:key-4000", "key-4000", "fingerprint:f7", "f7", "id:0123", "resource:r7", "reason:continue"),
    *("engine:rare state:failed", "namespace:small state:failed", "namespace:big engine:counter"),
    *("error:timed", "error:nothing", "payload.n:77", "state:failed error:nothing", "engine:rare payload.n:1000"),
    *("namespace:small error:timed", "key:nobody", "engine:nobody", "engine:nobody error:x"),
]


@pytest.fixture
def mixed() -> None:
    fill(later=2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM roost_lease")
        cursor.execute(MIXED)
        cursor.execute("VACUUM (ANALYZE) roost_workitem")
        cursor.execute("VACUUM (ANALYZE) roost_event")


def check(plans: Plans, most: int) -> None:
    """Make sure that no query looked at more rows of large tables, or read more blocks, than that."""
    assert plans
    assert {text: seen for text, plan in plans.items() if (seen := looked_at(plan)) > most} == {}
    assert {text: read for text, plan in plans.items() if (read := blocks(plan)) > 2 * most} == {}


@pytest.mark.usefixtures("mixed")
def test_a_search_reads_its_window_and_little_more() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    with watched_reads() as plans:
        assert client.get(reverse("admin:roost_workitem_changelist")).status_code == 200
        assert client.get(reverse("admin:roost_workitem_csv"), {"q": "state:failed"}).status_code == 200
        for text in SEARCHES:
            assert client.get(reverse("admin:roost_workitem_changelist"), {"q": text}).status_code == 200
        for query in (
            {"namespace": "small"},
            {"age": "hour"},
            {"age": "older_month"},
            {"id__lt": WorkItem.objects.all()[50].pk},
        ):
            assert client.get(reverse("admin:roost_workitem_changelist"), query).status_code == 200
    check(plans, SHARE * COUNTED + 1000)


@pytest.mark.usefixtures("mixed")
def test_the_overview_reads_its_windows_and_the_events_of_an_hour_by_their_ids() -> None:
    with watched_reads() as counted:
        found = {standing.state: standing.count for standing in overview.standings()}
        attention.stranded(workers.views())
    assert (found["failed"].kind, found["running"].value) == ("about", 0)
    assert found["failed"].value == pytest.approx(ITEMS / 3, rel=0.1)
    check(counted, 2 * SHARE * WINDOW + 1000)
    with watched_reads() as plans:
        attention.dead_groups(), attention.failing(), attention.held(), attention.contested()
        attention.expired_leases(), attention.open_asks()
        assert windows.namespaces() == ["default", "big", "small"]
        minutes = pulse.last_hour()
    assert any(minute.estimated for minute in minutes)
    check(plans, SHARE * WINDOW + 1000)


@pytest.mark.usefixtures("mixed")
def test_a_scrape_reads_windows_of_live_items_and_no_finished_ones_but_the_newest_dead_letters() -> None:
    with watched_reads() as plans:
        found = {one.name: one.values for one in metrics.collect()}
    queued = {dict(labels)["engine"]: n for labels, n in found["roost_items"].items() if ("state", "queued") in labels}
    assert sum(queued.values()) == pytest.approx(ITEMS / 3, rel=0.1)
    assert queued["counter"] == pytest.approx(ITEMS / 6, rel=0.2)
    assert found["roost_items_estimated"][("state", "queued"),] == 1
    assert found["roost_recent_estimated"][()] == 1
    check(plans, 2 * SHARE * WINDOW + 1000)


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("reached", [["small"], ["big", "small"], ["default"]], ids=repr)
def test_who_reaches_some_namespaces_reads_no_more_than_who_reaches_all(
    reached: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOST_NAMESPACES_OF = f"{__name__}.namespaces_of"
    monkeypatch.setitem(REACH, "ann", reached)
    client = Client()
    client.force_login(User.objects.create_superuser("ann"))
    # The default namespace has no item of that engine here, and no index says so.
    engines = () if reached == ["default"] else ("engine:counter",)
    with watched_reads() as plans:
        for text in ("", "state:failed", "key:key-4000", "f7", *engines):
            assert client.get(reverse("admin:roost_workitem_changelist"), {"q": text}).status_code == 200
        assert client.get(reverse("admin:roost_workitem_dead")).status_code == 200
        assert client.get(reverse("admin:roost_workitem_csv")).status_code == 200
    check(plans, SHARE * COUNTED + 1000)
    with watched_reads() as counted:
        overview.standings(within=reached)
        attention.dead_groups(within=reached), attention.failing(within=reached), attention.held(within=reached)
        attention.contested(within=reached), attention.expired_leases(within=reached)
        attention.open_asks(within=reached)
    check(counted, 2 * SHARE * WINDOW + 1000)


REACH: dict[str, Any] = {}


def namespaces_of(user: Any) -> Any:
    return REACH[user.username]
