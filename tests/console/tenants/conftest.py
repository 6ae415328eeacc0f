"""People who reach one namespace, and people who reach all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from tests.console.roles import MODELS
from tests.console.tenants.world import LIMITED, SETTING


@pytest.fixture
def people(settings: Any) -> Callable[[str], Client]:
    """Give a browser in which a superuser of that name is logged in."""
    settings.ROOST_NAMESPACES_OF = SETTING
    ContentType.objects.get_for_models(*MODELS.values())

    def browser(name: str) -> Client:
        client = Client()
        client.force_login(User.objects.create_superuser(name))
        return client

    return browser


@pytest.fixture
def limited(people: Any) -> Client:
    """Give somebody who may do everything, in our namespace."""
    client: Client = people(LIMITED)
    return client


@pytest.fixture
def boss(people: Any) -> Client:
    """Give somebody who may do everything everywhere."""
    client: Client = people("boss")
    return client
