"""After a test that committed the database is what the migrations made of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType

from runtime.models import WorkItem
from runtime.models.workitem import new_id
from tests import emptying
from tests.factories import WorkItemFactory
from tests.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)


def permissions() -> list[Any]:
    return list(Permission.objects.order_by("pk").values_list("content_type__app_label", "codename"))


def test_rows_of_tests_are_gone_and_what_was_migrated_is_as_it_was() -> None:
    before = permissions()
    WorkItemFactory()
    Entry.objects.bulk_create([Entry(item=new_id(), number=1, pid=1) for _ in range(emptying.FEW + 1)])
    user = User.objects.create(username="ann")
    user.user_permissions.add(Permission.objects.get(codename="cancel_workitem"))
    emptying.empty("default")
    assert not WorkItem.objects.exists()
    assert not Entry.objects.exists()
    assert not User.objects.exists()
    assert permissions() == before


@pytest.mark.parametrize("change", ["more", "less", "none"])
def test_permissions_that_a_test_has_changed_are_made_again(change: str) -> None:
    before = set(permissions())
    if change == "more":
        Permission.objects.create(codename="fly", content_type=ContentType.objects.get_for_model(User))
    elif change == "less":
        Permission.objects.filter(codename="cancel_workitem").delete()
    else:
        ContentType.objects.all().delete()
    assert set(permissions()) != before
    emptying.empty("default")
    assert set(permissions()) == before
