"""Who reaches one namespace sees, finds and changes nothing of another, on any page and by any verb of the admin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import URLPattern, reverse

from console.admin.base import ITEM_LOOKUP
from runtime.models import WorkItem
from runtime.queries import feed
from tests.console.roles import ASKED, MODELS
from tests.console.tenants.world import (
    OF_NOBODY,
    OURS,
    RULES,
    THEIRS,
    content,
    everything,
    furnish,
    told,
)
from tests.console.test_lists import address
from tests.console.test_permissions import ADMINS
from tests.contracts.builders import until
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db

ASKED_OF_PAGES: dict[str, tuple[dict[str, str], ...]] = {
    "workitem": ({}, {"version": "1", "against": "0"}, {"seen": "1"}),
}
"""What pages of a table, its lists apart, read of their address."""


def urls_of(name: str, rows: dict[str, Any]) -> Iterator[str]:
    """Go through all addresses of a table's pages, about the row of it where they are about one."""
    row, listing = rows.get(name), address(MODELS[name])
    for url in ADMINS[name].get_urls():
        assert isinstance(url, URLPattern)
        wanted = [key for key in url.pattern.converters if key not in url.default_args]
        about = [row.pk if row is not None else 1 for key in wanted if key != "verb"]
        verbs = [verb for model, verb in ASKED if model == name] if "verb" in wanted else [None]
        for verb in verbs:
            named = [*([verb] if verb else []), *about]
            yield reverse(f"admin:{url.name}", args=named) if url.name else f"{listing}{about[0]}/"


def searches(name: str, rows: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Go through what narrows a table's list to what is theirs."""
    item, row = rows["workitem"], rows.get(name)
    asked = [
        str(item.pk),
        str(row.pk) if row is not None else "",
        f"{THEIRS} lock",
        f"{THEIRS} mail",
        rows["limit"].name,
    ]
    asked += [rows[rule].name for rule in ("limit", "schedule", "trigger", "webhook", "webhooktarget")]
    if name == "workitem":
        asked += [f"{THEIRS}-key", item.fingerprint, f"id:{str(item.pk)[:30]}", f"namespace:{THEIRS}", "state:failed"]
        asked += [f"parent:{item.pk}", f'resource:"{THEIRS} lock"', f'error:"{THEIRS} failed"']
        asked += [f'payload.who:"{THEIRS} payload"', f"engine:{THEIRS}-engine"]
        yield from ({"attention": kind} for kind in ("dead", "retry", "parked", "held", "suspect"))
        yield from ({"namespace": THEIRS}, {"engine": f"{THEIRS}-engine"}, {"parent__id__exact": str(item.pk)})
        yield from ({"id__in": str(item.pk)}, {"namespace__exact": THEIRS}, {"age": "hour"}, {"state__exact": "failed"})
    yield from ({"q": said} for said in asked if said)
    yield from ({ITEM_LOOKUP: str(item.pk)}, {"inbox": "all"}, {"inbox": "soon"}, {"time": "over"})
    yield {"resource__id__exact": str(rows["resource"].pk), "held__exact": "0"}
    yield {"worker__id__exact": str(rows["worker"].pk)}


def ask(client: Client, url: str, query: dict[str, str]) -> Any:
    """Get a page, without what was said to the same person before: that repeats what they typed."""
    client.cookies.pop("messages", None)
    return client.get(url, query)


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("name", MODELS)
def test_no_page_tells_of_what_is_out_of_reach(name: str, limited: Client) -> None:
    furnish(OURS)
    rows = furnish(THEIRS)
    before = everything()
    for url in urls_of(name, rows):
        typed = [rows[name].pk] if name in rows and str(rows[name].pk) in url else []
        for query in ASKED_OF_PAGES.get(name, ({},)):
            answer = ask(limited, url, query)
            assert told(answer, typed) == set(), url
            assert answer.status_code != 500
    for query in searches(name, rows):
        answer = ask(limited, address(MODELS[name]), query)
        assert told(answer, query.values()) == set(), query
    assert everything() == before


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("name", sorted(MODELS.keys() - OF_NOBODY))
def test_who_reaches_all_sees_it_there(name: str, boss: Client) -> None:
    """Otherwise the test above would be about pages that show nothing to anybody."""
    rows = furnish(THEIRS)
    assert told(boss.get(address(MODELS[name]))), name
    answer = boss.get(address(MODELS[name], "change", rows[name].pk))
    assert answer.status_code == 200
    assert told(answer, [rows[name].pk]), name


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("name", sorted(MODELS.keys() - OF_NOBODY))
def test_what_is_in_reach_is_seen_as_before(name: str, limited: Client) -> None:
    furnish(THEIRS)
    ours = furnish(OURS)[name]
    assert told(limited.get(address(MODELS[name])), space=OURS), name
    answer = limited.get(address(MODELS[name], "change", ours.pk))
    assert answer.status_code == 200
    assert told(answer, [ours.pk], space=OURS), name


@pytest.mark.parametrize("name", sorted(OF_NOBODY))
def test_what_concerns_the_whole_installation_is_for_who_reaches_all(name: str, limited: Client, people: Any) -> None:
    rows = furnish(OURS)
    client = people("boss")
    for url in urls_of(name, rows):
        answer = limited.get(url)
        assert answer.status_code in (403, 302), url
        assert answer.status_code == 403 or "/change/" in answer["Location"] or answer["Location"] == "/admin/", url
    assert client.get(address(MODELS[name])).status_code == 200


@pytest.mark.parametrize("name", sorted(RULES))
def test_rules_with_names_of_the_whole_installation_are_changed_by_who_reaches_all(name: str, limited: Client) -> None:
    row = furnish(OURS)[name]
    before = everything()
    assert limited.get(address(MODELS[name], "change", row.pk)).status_code == 200
    assert limited.get(address(MODELS[name], "add")).status_code == 403
    for page in ("change", "delete"):
        assert limited.post(address(MODELS[name], page, row.pk), {"post": "yes"}).status_code == 403
    chosen_ones = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    limited.post(address(MODELS[name]), chosen_ones)
    assert everything() == before


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_is_posted_changes_what_is_out_of_reach(name: str, limited: Client) -> None:
    furnish(OURS)
    rows = furnish(THEIRS)
    before, logged = everything(), LogEntry.objects.count()
    pk = str(rows[name].pk) if name in rows else "1"
    forms: list[dict[str, Any]] = [
        {},
        {"post": "yes"},
        {"action": "delete_selected", "_selected_action": [pk], "post": "yes"},
        {"enabled": "", "note": "mine", "capacity": "7", "desired_state": "draining", "move": "revoke"},
    ]
    forms += [{"action": f"{verb}_items", "_selected_action": [pk], "index": 0} for _model, verb in ASKED]
    for url in urls_of(name, rows):
        if url.endswith("/all/"):
            continue  # What it does to what matches has a test of its own.
        for form in forms:
            limited.cookies.pop("messages", None)
            answer = limited.post(url, form)
            assert told(answer, [pk]) == set(), (url, form)
    assert everything() == before
    assert LogEntry.objects.count() == logged


BESIDE = ("admin:index", "admin:roost_workitem_dead", "admin:roost_workitem_csv", "admin:roost_workitem_json")


def beside() -> list[str]:
    """Return the pages that are about many tables."""
    return [*map(reverse, BESIDE), reverse("admin:app_list", args=["roost"]), f"{reverse(BESIDE[1])}?seen=1"]


def test_the_overview_the_dead_letters_and_the_exports_tell_of_what_is_in_reach(limited: Client) -> None:
    furnish(THEIRS)
    furnish(OURS)
    for url in beside():
        answer = limited.get(url)
        assert told(answer) == set(), url
        assert told(answer, space=OURS) or url == reverse("admin:index"), url


def test_the_overview_the_dead_letters_and_the_exports_tell_who_reaches_all_of_everything(boss: Client) -> None:
    furnish(THEIRS)
    for url in beside()[1:]:
        assert told(boss.get(url)), url


def test_the_overview_counts_what_is_in_reach(limited: Client) -> None:
    furnish(THEIRS)
    WorkItemFactory.create_batch(2, namespace=OURS, done=True)
    overview = limited.get(reverse("admin:app_list", args=["roost"])).content.decode()
    assert 'class="roost-count">2<' in overview
    assert overview.count('class="roost-count">0<') == 6
    assert "Nothing that you may see needs anybody." in overview
    assert "Steps a minute" not in overview
    assert "runworker" not in overview


def test_what_the_settings_declare_is_listed_for_who_reaches_it(limited: Client, settings: Any, people: Any) -> None:
    settings.ROOST_WEBHOOKS = {"declared-hook": {"engine": "counter", "verifier": "github", "secret": "s" * 30}}
    common = {"url": "https://ops.example/", "events": ["done"], "secret": "s" * 30}
    settings.ROOST_WEBHOOK_TARGETS = {
        "of-all": common,
        "of-theirs": {**common, "namespace": THEIRS},
        "of-ours": {**common, "namespace": OURS},
    }
    boss = people("boss")
    for model, seen, hidden in (
        ("webhook", [], ["declared-hook"]),
        ("webhooktarget", ["of-ours"], ["of-all", "of-theirs"]),
    ):
        page, whole = (content(client.get(address(MODELS[model]))) for client in (limited, boss))
        assert all(name in page for name in seen)
        assert not any(name in page for name in hidden)
        assert all(name in whole for name in (*seen, *hidden))


def test_choices_name_what_is_in_reach(limited: Client, people: Any) -> None:
    furnish(OURS)
    rows = furnish(THEIRS)
    url = reverse("admin:autocomplete")
    for table, field in (("snapshot", "work_item"), ("resourceclaim", "resource"), ("signal", "taken_by")):
        query = {"app_label": "roost", "model_name": table, "field_name": field}
        for term in ("", str(rows["workitem"].pk), f"{THEIRS} lock"):
            assert told(limited.get(url, query | {"term": term}), [term]) == set()
    told_of = content(limited.get(address(WorkItem)))
    assert f"?namespace={THEIRS}" not in told_of
    assert f"?namespace={THEIRS}" in content(people("boss").get(address(WorkItem)))


@pytest.mark.django_db(transaction=True)
def test_pages_hear_of_changes_in_reach_alone(limited: Client, people: Any) -> None:
    cursor = feed.start()
    ours, theirs = furnish(OURS)["workitem"], furnish(THEIRS)["workitem"]
    asks: list[dict[str, Any]] = [{"list": True}, {"items": [str(theirs.pk), str(ours.pk)]}]
    boss = people("boss")
    for ask in asks:
        query = {"ask": json.dumps({**ask, "cursor": cursor})}

        def changed(client: Client, query: Any = query) -> Any:
            return client.get(reverse("admin:roost_workitem_changes"), query).json()["changed"]

        # On PostgreSQL an event is told once no transaction before it is under way, whoever's.
        until(lambda: str(ours.pk) in changed(limited), "a change in reach")
        assert told(limited.get(reverse("admin:roost_workitem_changes"), query)) == set()
        assert str(theirs.pk) in changed(boss)


def test_numbers_of_all_namespaces_are_for_who_reaches_them(limited: Client, people: Any) -> None:
    assert limited.get(reverse("roost:metrics")).status_code == 403
    assert people("boss").get(reverse("roost:metrics")).status_code == 200


def test_whose_namespaces_cannot_be_told_sees_nothing(people: Any, settings: Any) -> None:
    settings.ROOST_NAMESPACES_OF = "nowhere.namespaces_of"
    furnish(OURS)
    client = people("anybody")
    for name in sorted(MODELS.keys() - OF_NOBODY):
        assert told(client.get(address(MODELS[name])), space=OURS) == set()
    for url in beside():
        assert told(client.get(url), space=OURS) == set()


@pytest.mark.parametrize("name", sorted(MODELS.keys() - OF_NOBODY - {"workitem"}))
def test_reach_costs_no_query(name: str, limited: Client, people: Any, django_assert_num_queries: Any) -> None:
    from tests.console.test_lists import queries_of

    furnish(OURS)
    assert len(queries_of(limited, address(MODELS[name]))) <= len(queries_of(people("boss"), address(MODELS[name])))
