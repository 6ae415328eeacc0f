"""How many units of a resource there are is set while workers run."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from runtime.exceptions import Forbidden, InvalidInput
from runtime.models import Resource
from runtime.operations.resource_capacity import SetCapacity, set_capacity
from tests.contracts.builders import Hand, claims, item, put

pytestmark = pytest.mark.django_db

UNIT = {"key": "gpu", "mode": "counted", "units": 1}


def test_waiters_that_fit_are_woken_by_the_next_sweep() -> None:
    first, second, third = (put(resources=[UNIT]) for _ in range(3))
    hand = Hand()
    assert [one.id for one in hand.claim()] == [first]
    assert {item(pk).reason for pk in (second, third)} == {"resource"}
    row = set_capacity("gpu", 2)
    assert (row.capacity, row.row_version) == (2, 2)
    assert hand.store.sweep(dead_workers=[], batch=100).woken == 1
    assert [one.id for one in hand.claim()] == [second]
    assert claims(third) == [("gpu", False)]


def test_what_is_held_stays_held_when_the_capacity_shrinks() -> None:
    set_capacity("gpu", 2)
    hand = Hand()
    running = [put(resources=[UNIT]) for _ in range(2)]
    assert len(hand.claim()) == 2
    set_capacity("gpu", 1)
    assert [claims(pk) for pk in running] == [[("gpu", True)]] * 2
    put(resources=[UNIT])
    assert hand.claim() == []


def test_a_resource_that_nobody_has_claimed_yet_is_made_in_its_namespace() -> None:
    row = set_capacity("gpu", 4, namespace="acme")
    assert (row.namespace, row.key, row.capacity) == ("acme", "gpu", 4)
    assert set_capacity("gpu", 4, namespace="acme").row_version == row.row_version
    assert Resource.objects.count() == 1


@pytest.mark.parametrize(
    "values",
    [{"capacity": -1}, {"capacity": 2**31}, {"capacity": True}, {"key": ""}, {"key": "x" * 201}, {"namespace": "a b"}],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        set_capacity(**{"key": "gpu", "capacity": 1, **values})
    assert not Resource.objects.exists()


def test_a_user_needs_the_permission_to_change_resources() -> None:
    user = User.objects.create_user("ann")
    with pytest.raises(Forbidden):
        SetCapacity("gpu", 2, by=user).check()
    with pytest.raises(Forbidden):
        set_capacity("gpu", 2, by=user)
    user.user_permissions.add(Permission.objects.get(codename="change_resource"))
    assert set_capacity("gpu", 2, by=User.objects.get(pk=user.pk)).capacity == 2
