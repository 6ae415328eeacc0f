"""A search finds exactly the items for which every term holds, and says what it left out."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet

from runtime.models import WorkItem
from runtime.queries import found, windows
from runtime.queries.found import find
from runtime.queries.search import parse
from tests.factories import ResourceClaimFactory, WorkItemFactory

pytestmark = pytest.mark.django_db


def everything() -> QuerySet[WorkItem]:
    return WorkItem.objects.order_by("-id")


def sought(text: str) -> set[WorkItem]:
    return set(find(everything(), parse(text)).rows)


def test_no_term_finds_everything() -> None:
    WorkItemFactory.create_batch(2)
    assert len(sought("")) == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("engine:rare", {"engine": "rare"}),
        ("state:cancelled", {"cancelled": True}),
        ("key:invoice-7", {"idempotency_key": "invoice-7"}),
        ("invoice-7", {"idempotency_key": "invoice-7"}),
        ("namespace:acme", {"namespace": "acme"}),
        ("key:invoice-7 namespace:acme", {"namespace": "acme", "idempotency_key": "invoice-7"}),
        ("invoice-7", {"namespace": "acme", "idempotency_key": "invoice-7"}),
        ("fingerprint:feed", {"failed": True, "fingerprint": "feed"}),
        ("fingerprint:feed", {"failed": True, "fingerprint": "feed", "namespace": "acme"}),
        ("feed", {"failed": True, "fingerprint": "feed"}),
        ("reason:limit", {"reason": "limit"}),
        ("error:tImEd", {"failed": True, "last_error": {"type": "X", "code": "y", "message": "It timed out."}}),
        ("error:TimeoutE", {"failed": True, "last_error": {"type": "TimeoutError", "message": ""}}),
        ("payload.user_id:42", {"payload": {"user_id": 42}}),
        ("payload.user_id:42", {"payload": {"user_id": "42"}}),
        ("payload.user.name:Ann", {"payload": {"user": {"name": "Ann"}}}),
        ('payload.title:"100 % of it"', {"payload": {"title": "100 % of it"}}),
        ("payload.list.1:b", {"payload": {"list": ["a", "b"]}}),
        ("payload.flag:true", {"payload": {"flag": True}}),
        ("engine:rare state:failed error:out payload.a:1", {
            "engine": "rare", "failed": True, "last_error": {"message": "out"}, "payload": {"a": 1}
        }),
    ],
)  # fmt: skip
def test_a_field_finds_the_item_and_no_other(text: str, values: dict[str, object]) -> None:
    wanted = WorkItemFactory(**values)
    WorkItemFactory(idempotency_key="invoice-8")
    WorkItemFactory(failed=True, engine="rarer", namespace="acme-2", payload={"user_id": 421, "list": ["b", "a"]})
    assert sought(text) == {wanted}


def test_an_item_is_found_by_its_id_or_the_beginning_of_it_and_a_child_by_its_parent() -> None:
    parent = WorkItemFactory()
    child = WorkItemFactory(parent=parent)
    assert sought(f"id:{parent.pk}") == {parent}
    assert sought(f"id:{str(parent.pk)[:8]}") >= {parent}
    assert sought(f"parent:{parent.pk}") == {child}
    assert sought(str(parent.pk)) == {parent, child}


def test_who_holds_or_wants_a_resource_is_found_by_its_key() -> None:
    held = ResourceClaimFactory(resource__key="repo:x")
    wanted = ResourceClaimFactory(resource=held.resource, held=False)
    ResourceClaimFactory(resource__key="repo:y")
    assert sought("resource:repo:x") == {held.work_item, wanted.work_item}


def test_a_field_given_twice_means_either_and_two_words_mean_both() -> None:
    both = {WorkItemFactory(engine="a", idempotency_key="k"), WorkItemFactory(engine="b")}
    WorkItemFactory(engine="c")
    assert sought("engine:a engine:b") == both
    assert sought("payload.count_to:3 payload.count_to:4 engine:a engine:b") == both
    assert sought("k nobody") == set()


def test_a_key_with_the_name_of_a_lookup_is_only_a_key() -> None:
    wanted = WorkItemFactory(payload={"isnull": "x", "contains": {"in": "y"}})
    assert sought("payload.isnull:x") == sought("payload.contains.in:y") == {wanted}
    assert sought("payload.user_id'--:1") == set()


def test_what_has_no_index_is_looked_for_in_the_newest_that_fit_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = WorkItemFactory(engine="rare", payload={"n": 1})
    WorkItemFactory.create_batch(3, payload={"n": 1})
    monkeypatch.setattr(found, "WINDOW", 2)
    monkeypatch.setattr(windows.newest, "__defaults__", (2,))
    everywhere = find(everything(), parse("payload.n:1"))
    assert len(everywhere.rows) == 2
    assert "payload.n: was looked for in the newest 2 items" in everywhere.notes[0]
    narrowed = find(everything(), parse("payload.n:1 engine:rare"))
    assert (list(narrowed.rows), narrowed.notes) == ([old], ())


def test_keys_are_looked_up_in_so_many_namespaces_and_a_note_says_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        WorkItemFactory(namespace=name, idempotency_key="k")
    monkeypatch.setattr(found, "MOST_NAMESPACES", 2)
    assert "Say namespace:" in find(everything(), parse("key:k")).notes[0]
    assert find(everything(), parse("key:k namespace:c")).notes == ()
