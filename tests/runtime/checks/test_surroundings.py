"""The checks of what is around Roost find what they are for, and say what to type."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import get_commands
from django.db import connection
from django.test import override_settings

from runtime.checks import surroundings
from runtime.management.commands.runworker import Command as RunWorker
from tests.runtime.checks.found import only


def test_package_shadowed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(name="engines", label="engines", path="/srv/product/engines")
    monkeypatch.setattr(surroundings.apps, "get_app_configs", lambda: [other])
    only(surroundings.package_shadowed(), "roost.E007", "'engines'", "/srv/product/engines")


@pytest.mark.parametrize("file", ["runtime.py", "engines/__init__.py"])
def test_package_of_the_same_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path)])
    only(surroundings.package_of_the_same_name(), "roost.W008", str(tmp_path))


@pytest.fixture
def channels_first() -> Iterator[None]:
    """List channels before Roost, as a product may."""
    others = [name for name in django_settings.INSTALLED_APPS if name not in ("channels", "runtime")]
    with override_settings(INSTALLED_APPS=["channels", "runtime", *others]):
        get_commands.cache_clear()
        yield
    get_commands.cache_clear()


@pytest.mark.usefixtures("channels_first")
def test_runworker_hidden() -> None:
    only(surroundings.runworker_hidden(), "roost.W004", "'channels'", "manage.py roost_worker")


def test_a_products_own_runworker_that_extends_ours_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Extended(RunWorker):
        pass

    monkeypatch.setattr(surroundings, "get_commands", lambda: {"runworker": Extended()})
    assert surroundings.runworker_hidden() == []


def test_storage_alias_missing(settings: Any) -> None:
    settings.ROOST_ARTIFACT_STORAGE = "elsewhere"
    only(surroundings.storage_alias_missing(), "roost.W002", "STORAGES['elsewhere']")


FILES = "django.core.files.storage.FileSystemStorage"
BUCKET = "storages.backends.s3.S3Storage"


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ({"BACKEND": FILES}, "inside MEDIA_ROOT"),
        ({"BACKEND": FILES, "OPTIONS": {"location": "/srv/media/deep/artifacts"}}, "inside MEDIA_ROOT"),
        ({"BACKEND": FILES, "OPTIONS": {"location": "/srv/x/../static"}}, "inside STATIC_ROOT"),
        ({"BACKEND": BUCKET, "OPTIONS": {"default_acl": "public-read"}}, "default_acl is 'public-read'"),
        ({"BACKEND": BUCKET, "OPTIONS": {"querystring_auth": False}}, "need no signature"),
    ],
)
def test_artifacts_publicly_served(settings: Any, storage: dict[str, Any], why: str) -> None:
    settings.MEDIA_ROOT, settings.STATIC_ROOT = "/srv/media", "/srv/static"
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": storage}
    only(surroundings.artifacts_publicly_served(), "roost.W003", why)


@pytest.mark.parametrize(
    "storage",
    [
        {"BACKEND": FILES, "OPTIONS": {"location": "/srv/media-private"}},
        {"BACKEND": BUCKET, "OPTIONS": {"default_acl": None, "location": "/srv/media"}},
    ],
)
def test_artifacts_kept_apart_are_not_public(settings: Any, storage: dict[str, Any]) -> None:
    settings.MEDIA_ROOT = "/srv/media"
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": storage}
    assert surroundings.artifacts_publicly_served() == []


def test_channel_layer_in_memory(settings: Any) -> None:
    told = [] if connection.vendor == "postgresql" else ["roost.I001"]
    for backend, ids in {"channels.layers.InMemory": told, "channels_redis.core.Redis": []}.items():
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{backend}ChannelLayer"}}
        assert [found.id for found in surroundings.channel_layer_in_memory()] == ids
