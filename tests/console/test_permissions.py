"""Who may see and do what, on every page and by every verb: made of the admin's registry and the lists of verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import JSONField, Model
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from console import urls
from console.actions import Confirmation
from console.admin.verbs import VerbAdmin
from console.live.routing import websocket_urlpatterns
from runtime import faults
from runtime.models import DoneRequest, Event, EventHorizon, Limit, Offloaded, PrunedHistory, Trigger, Wait, WorkItem
from runtime.operations.schedules import set_schedule
from runtime.operations.targets import set_target
from runtime.operations.tokens import create_token
from runtime.operations.webhooks import set_webhook
from runtime.store.horizon import delete_events
from tests.console.roles import (
    ASKED,
    FILES,
    LINKS,
    LIVE,
    MODELS,
    MORE_PAGES,
    OUTSIDE,
    PAGES,
    PUBLIC_JSON,
    READERS,
    ROLES,
    SOCKETS,
    STARTS,
    VIEWER,
)
from tests.console.sockets import accepts
from tests.console.subjects import TYPED, chosen, subject
from tests.console.test_artifacts import png
from tests.console.test_lists import FACTORIES, address
from tests.factories import ArtifactFactory, EventFactory, WaitFactory, WorkItemFactory, now

SESAME = "sesame"
ERRORS = ("schedule", "webhook", "webhooktarget")
OF_AN_ITEM = ("roost_workitem_story", "roost_workitem_state")
STANDARD = ("changelist", "add", "history", "delete", "change")
ADMINS: dict[str, Any] = {
    made.opts.model_name: made for made in admin.site._registry.values() if made.opts.app_label == "roost"
}


@pytest.fixture
def browsers(db: None) -> Callable[[str], Client]:
    """Give a browser in which somebody of a role is logged in."""
    ContentType.objects.get_for_models(*MODELS.values())

    def browser(role: str) -> Client:
        given = ROLES.get(role, frozenset())
        user = User.objects.create_user(role, is_staff=True, is_superuser=given is None)
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="roost", codename__in=given or ()))
        client = Client()
        client.force_login(user)
        return client

    return browser


def made(name: str) -> Any:
    """Make a row whose contents nobody without the permission to read them may see."""
    row = MADE[name]() if name in MADE else FACTORIES[MODELS[name]]()
    hidden: dict[str, Any] = {
        field.name: {"value": SESAME}
        for field in row._meta.get_fields()
        if isinstance(field, JSONField) and f"{name}.{field.name}" not in PUBLIC_JSON
    }
    if name in ERRORS:
        hidden["error"] = SESAME
    if hidden:
        MODELS[name]._default_manager.filter(pk=row.pk).update(**hidden)
    return MODELS[name]._default_manager.get(pk=row.pk)


def _event_horizon() -> EventHorizon:
    with faults.around("prune"):
        delete_events("default", [EventFactory().work_item_id])
    found: EventHorizon = EventHorizon.objects.get()
    return found


MADE: dict[str, Callable[[], Model]] = {
    "blob": lambda: ArtifactFactory().blob,
    "donerequest": lambda: DoneRequest.objects.create(key="b" * 64, asked="c" * 64, done_at=now()),
    "eventhorizon": _event_horizon,
    "limit": lambda: Limit.objects.create(name="cap", concurrency=1),
    "offloaded": lambda: Offloaded.objects.create(
        work_item=WorkItemFactory(), place="state", version=1, blob=ArtifactFactory().blob
    ),
    "prunedhistory": lambda: PrunedHistory.objects.create(work_item=WorkItemFactory(), pruned_at=now()),
    "schedule": lambda: set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60),
    "trigger": lambda: Trigger.objects.create(name="next", engine="counter", target="counter", on="done"),
    "webhook": lambda: set_webhook("hook", engine="counter", verifier="github", secret="s" * 30).webhook,
    "apitoken": lambda: create_token("ops", scopes=["read"], namespaces=["default"]).row,
    "webhooktarget": lambda: set_target("ops", url="https://ops.example/", events=["done"], secret="s" * 30).target,
    "workitem": lambda: WorkItemFactory(failed=True, version=1),
}


def test_every_table_and_every_page_of_it_has_a_line_in_the_matrix() -> None:
    assert set(PAGES) == set(MODELS) == set(ADMINS)
    names = {url.name for name in MODELS for url in ADMINS[name].get_urls() if url.name}
    tables = {f"roost_{name}_{page}" for name in MODELS for page in STANDARD}
    verbs = {f"roost_{model}_verb" for model, _verb in ASKED}
    assert names - tables == {*MORE_PAGES, *FILES, *LINKS, *LIVE, *STARTS, *verbs}


def test_no_page_escapes_the_matrix_for_want_of_a_name() -> None:
    nameless = {str(url.pattern) for name in MODELS for url in ADMINS[name].get_urls() if not url.name}
    assert nameless == {"<path:object_id>/"}, "Django's own, which leads to the row's page"


def test_every_socket_and_every_address_outside_the_admin_has_a_line_in_the_matrix() -> None:
    assert {str(one.pattern) for one in websocket_urlpatterns} == set(SOCKETS)
    assert {one.name for one in urls.urlpatterns if isinstance(one, URLPattern)} == set(OUTSIDE)
    inner = [one for one in urls.urlpatterns if isinstance(one, URLResolver)]
    assert [str(one.pattern) for one in inner] == ["api/v1/"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_admin_a_session_opens_what_the_matrix_says(name: str, browsers: Any) -> None:
    url = reverse(f"roost:{name}", args=["default", "hook"] if name == "webhook" else [])
    roles, stranger = OUTSIDE[name], Client()
    for role in ROLES:
        client = browsers(role)
        refused = stranger.get(url).status_code if roles is None else 403
        assert client.get(url).status_code == (200 if roles and role in roles else refused), role
        assert client.post(url).status_code == stranger.post(url).status_code >= 400, role


def test_every_verb_has_a_line_in_the_matrix() -> None:
    verbs = {(name, action.name) for name, one in ADMINS.items() if isinstance(one, VerbAdmin) for action in one.verbs}
    assert verbs == set(ASKED)


@pytest.mark.matrix
@pytest.mark.scenario("B18")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PAGES)
def test_each_role_sees_reads_and_changes_of_each_table_what_the_matrix_says(
    name: str, role: str, browsers: Any
) -> None:
    row, client, may = made(name), browsers(role), PAGES[name]
    model = MODELS[name]
    expected = {
        "changelist": 200 if role in may["view"] else 403,
        "history": 200 if role in may["view"] else 403,
        "change": 200 if role in may["view"] else 403,
        "add": 200 if role in may["add"] else 403,
        "delete": 200 if role in may["delete"] else 403,
    }
    pages = {page: client.get(_url(model, page, row)) for page in expected}
    assert {page: answer.status_code for page, answer in pages.items()} == expected
    shown = [pages[page].content.decode() for page in ("changelist", "change")]
    contents_are_read_by_those_alone_who_have_the_permission_for_it(name, role, shown)
    before = _values(row)
    answers = {page: client.post(_url(model, page, row), {"nothing": 1}).status_code for page in expected}
    assert answers["add"] == (200 if role in may["add"] else 403)
    # An empty form is an edit that some tables take; whoever may not edit is refused.
    assert (answers["change"] != 403) == (role in may["change"])
    assert (answers["delete"] != 403) == (role in may["delete"])
    if role not in may["change"]:
        assert _values(row) == before


def contents_are_read_by_those_alone_who_have_the_permission_for_it(name: str, role: str, pages: list[str]) -> None:
    """Look at the table's list and the row's page for what only some may read, and for the word that it is hidden."""
    secret = ADMINS[name].secret_fields
    assert any(SESAME in page for page in pages) == (bool(secret) and role in READERS)
    told = any("hidden: needs permission roost.view_payload" in page for page in pages)
    assert told == (bool(secret) and role in PAGES[name]["view"] and role not in READERS)


@pytest.mark.parametrize("role", ROLES)
def test_the_pages_beside_the_tables_are_seen_by_whom_the_matrix_says(role: str, browsers: Any) -> None:
    item = WorkItemFactory(failed=True, version=1, last_error={"type": SESAME, "message": SESAME, "traceback": SESAME})
    EventFactory(work_item=item, kind="failed", data={"message": SESAME, "traceback": SESAME})
    item.snapshots.update(data={"value": SESAME})
    client = browsers(role)
    for name, roles in MORE_PAGES.items():
        query = {"ask": '{"list": true}'} if name == "roost_workitem_changes" else None
        url = reverse(f"admin:{name}", args=[item.pk] if name in OF_AN_ITEM else [], query=query)
        answer = client.get(url)
        assert answer.status_code == (200 if role in roles else 403), name
        assert (SESAME in answer.content.decode()) <= (role in READERS), name
        assert client.post(url, {}).status_code == answer.status_code, name
    for url in (reverse("admin:index"), reverse("admin:app_list", args=["roost"]), "/admin/roost/workitem/?q=engine:x"):
        assert SESAME not in client.get(url).content.decode() or role in READERS
    assert WorkItem.objects.get(pk=item.pk).row_version == item.row_version


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("role", ROLES)
def test_the_bytes_of_files_are_handed_to_whom_the_matrix_says(role: str, browsers: Any) -> None:
    file, client = ArtifactFactory(content=png()), browsers(role)
    for name, roles in FILES.items():
        url = reverse(f"admin:{name}", args=[file.pk])
        answer = client.get(url)
        assert answer.status_code == (200 if role in roles else 403), name
        assert client.post(url).status_code == (405 if role in roles else 403), name
        if role in roles:
            assert b"".join(answer.streaming_content) == png()


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("role", ROLES)
def test_links_to_files_are_given_by_whom_the_matrix_says(role: str, browsers: Any) -> None:
    file, client = ArtifactFactory(), browsers(role)
    for name, roles in LINKS.items():
        url = reverse(f"admin:{name}", args=[file.pk])
        answer = client.get(url)
        assert answer.status_code == (200 if role in roles else 403), name
        assert (b"/downloads?link=" in answer.content) == (role in roles)
        assert client.post(url).status_code == (405 if role in roles else 403), name


@pytest.mark.scenario("B18")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_each_role_hears_of_changes_by_stream_and_socket_if_the_matrix_says_so(role: str, browsers: Any) -> None:
    client = browsers(role)
    for name, roles in LIVE.items():
        url = reverse(f"admin:{name}", query={"ask": '{"list": true}'})
        # The test's client speaks to a server with a thread for each request, which refuses streams to everybody.
        assert client.get(url).status_code == (501 if role in roles else 403)
    for path, roles in SOCKETS.items():
        assert accepts(client.session.session_key or "", path=f"/{path}") == (role in roles)


@pytest.mark.matrix
@pytest.mark.scenario("B18")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("model", "verb"), ASKED, ids=lambda name: name)
def test_each_role_does_by_each_verb_what_the_matrix_says(model: str, verb: str, role: str, browsers: Any) -> None:
    row, client = subject(model, verb), browsers(role)
    allowed, before = role in ASKED[model, verb], _values(row)
    url = reverse(f"admin:roost_{model}_verb", args=[verb])
    form: dict[str, Any] = {"items": str(Confirmation.of(MODELS[model]._default_manager.get(pk=row.pk)))}
    before_it = traces()
    assert client.get(url, form).status_code == (405 if allowed else 403)
    assert client.post(url, form).status_code == (200 if allowed else 403)
    listed = {"action": f"{verb}_items", "_selected_action": [str(row.pk)], "index": 0}
    client.post(address(MODELS[model]), listed)
    assert traces() == before_it, "nothing has happened until it is confirmed"
    form |= {**TYPED, **chosen(verb, row)}
    assert client.post(url, form).status_code == (302 if allowed else 403)
    assert (traces() > before_it) == allowed
    if not allowed:
        assert _values(row) == before


def traces() -> int:
    """Count what verbs leave behind: events of items, and entries in Django's log, which schedules have alone."""
    return Event.objects.count() + LogEntry.objects.count()


@pytest.mark.parametrize("role", ROLES)
def test_a_verb_on_all_that_match_is_started_by_whom_the_matrix_says(role: str, browsers: Any) -> None:
    WorkItemFactory()
    client, allowed = browsers(role), role in ASKED["workitem", "cancel"]
    url = reverse("admin:roost_workitem_verb_all", args=["cancel"])
    assert client.get(url).status_code == (405 if allowed else 403)
    assert client.post(url, {"back": address(WorkItem)}).status_code == (302 if allowed else 403)
    assert WorkItem.objects.filter(engine="bulk_verb").exists() == allowed


def test_a_viewer_is_offered_nothing_to_press(browsers: Any) -> None:
    wait = WaitFactory()
    client = browsers(VIEWER)
    for url in _pages_of(wait):
        html = client.get(url).content.decode()
        assert "/verb/" not in html
        assert 'name="items"' not in html
        assert 'name="_save"' not in html


def _pages_of(wait: Wait) -> Iterator[str]:
    for row in (wait, wait.work_item):
        yield address(type(row))
        yield address(type(row), "change", row.pk)


def _url(model: type[Model], page: str, row: Model) -> str:
    return address(model, page, *([] if page in ("changelist", "add") else [row.pk]))


def _values(row: Model) -> dict[str, Any] | None:
    found = type(row)._default_manager.filter(pk=row.pk).values().first()
    return dict(found) if found else None
