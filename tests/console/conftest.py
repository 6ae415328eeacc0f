"""Users and pages of the console's tests."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

Staff = Callable[..., User]


@pytest.fixture
def staff(db: None) -> Staff:
    """Make a staff user with these permissions of Roost, by their names."""

    def make(*permissions: str, name: str = "ann") -> User:
        user = User.objects.create_user(name, password="secret", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="roost", codename__in=permissions)
        assert {permission.codename for permission in found} == set(permissions)
        user.user_permissions.set(found)
        return user

    return make


@pytest.fixture
def boss(db: None) -> Client:
    """Give a browser in which a superuser is logged in."""
    # Where queries are counted it must not matter whether a test before this one emptied the cache of content types.
    ContentType.objects.get_for_models(*apps.get_app_config("roost").get_models())
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


@pytest.fixture
def log_in() -> Callable[[User], Client]:
    """Give a browser in which the user is logged in."""

    def browser(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return browser


class Page(HTMLParser):
    """What a page holds that a strict Content-Security-Policy or a browser refuses, its form fields and its text."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.fields: dict[str, str] = {}
        self.buttons: list[str] = []
        self.tags: list[str] = []
        self._in_form = False
        self.words: list[str] = []
        self.feed(response.rendered_content if hasattr(response, "rendered_content") else response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "form":
            self.refused += ["form in a form"] * self._in_form
            self._in_form = True
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            self.refused.append(tag)
        self.refused += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        self.refused += [f"{tag} href" for name in ("href", "src") if (given.get(name) or "").startswith("javascript:")]
        if tag == "input" and given.get("name"):
            self.fields[str(given["name"])] = given.get("value") or ""
        if tag == "button" and (given.get("id") or "").startswith("roost-verb-"):
            self.buttons.append(str(given["id"]).removeprefix("roost-verb-"))

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a form."""
        self._in_form = self._in_form and tag != "form"

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.words.append(data.strip())

    @property
    def text(self) -> str:
        """All text of the page, one space between its pieces."""
        return " ".join(word for word in self.words if word)
