"""Check what stands around Roost in the product: packages, commands, storages, channels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Info, Warning  # noqa: A004 - Django's names
from django.core.management import get_commands, load_command_class
from django.db import connections

import runtime
from runtime import tracing
from runtime.checks.check import Found, check
from runtime.conf import settings as roost
from runtime.store import work_database

LABELS = {"runtime": "roost", "engines": "roost_engines", "console": "roost_console"}
OURS = "runtime.management.commands.runworker"


@check
def package_shadowed(**_options: Any) -> Found:
    """Find an app named like one of Roost's that is somebody else's."""
    for config in apps.get_app_configs():
        label = LABELS.get(config.name)
        if label is not None and config.label != label:
            yield Error(
                f"{config.name!r} in INSTALLED_APPS is the package in {config.path}, which is not Roost's.",
                hint="Rename that package, or remove its folder from sys.path (see PYTHONPATH).",
                id="roost.E007",
            )


@check
def package_of_the_same_name(**_options: Any) -> Found:
    """Find a second package named like one of Roost's, which wins if the path's order changes."""
    ours = Path(str(runtime.__file__)).resolve().parent.parent
    installed = {config.name for config in apps.get_app_configs()}
    for name in sorted(LABELS.keys() & installed):
        for entry in dict.fromkeys(sys.path):
            place = Path(entry or ".").resolve()
            if place != ours and ((place / name / "__init__.py").is_file() or (place / f"{name}.py").is_file()):
                yield Warning(
                    f"There is another {name!r} in {place}; Roost's is in {ours}, and the first on sys.path wins.",
                    hint="Rename the other one, or keep its folder off sys.path (see PYTHONPATH).",
                    id="roost.W008",
                )


@check
def runworker_hidden(**_options: Any) -> Found:
    """Find that `manage.py runworker` is another app's."""
    app = get_commands().get("runworker")
    if app in (None, "runtime") or _descends_from_ours(app):
        return
    owner = app if isinstance(app, str) else type(app).__module__
    yield Warning(
        f"`manage.py runworker` is the command of {owner!r}, which stands before 'runtime' in INSTALLED_APPS.",
        hint=f"Put 'runtime' before {owner!r} in INSTALLED_APPS, or start workers with: manage.py roost_worker",
        id="roost.W004",
    )


def _descends_from_ours(app: Any) -> bool:
    try:
        command = load_command_class(app, "runworker") if isinstance(app, str) else app
    except (ImportError, AttributeError):
        return False
    return any(kind.__module__ == OURS for kind in type(command).__mro__)


@check
def storage_alias_missing(**_options: Any) -> Found:
    """Find that artifacts have nowhere to go."""
    alias = roost.ARTIFACT_STORAGE
    if alias not in settings.STORAGES:
        yield Warning(
            f"STORAGES has no alias {alias!r}: a step that stores an artifact will fail.",
            hint=f"Add STORAGES[{alias!r}] = {{'BACKEND': 'django.core.files.storage.FileSystemStorage', "
            "'OPTIONS': {'location': BASE_DIR / 'artifacts'}}.",
            id="roost.W002",
        )


@check
def artifacts_publicly_served(**_options: Any) -> Found:
    """Find artifacts in a place from which anybody may read them."""
    storage = settings.STORAGES.get(roost.ARTIFACT_STORAGE, {})
    options = storage.get("OPTIONS", {})
    if str(storage.get("BACKEND", "")).endswith("FileSystemStorage"):
        public = _served_from(options.get("location") or settings.MEDIA_ROOT)
        remedy = "Give it an OPTIONS['location'] outside MEDIA_ROOT and STATIC_ROOT."
    else:
        public = _bucket_open(options)
        remedy = "Set OPTIONS['default_acl'] = None and OPTIONS['querystring_auth'] = True."
    if public:
        yield Warning(
            f"The artifact storage {roost.ARTIFACT_STORAGE!r} is public: {public}. Artifacts may hold secrets.",
            hint=remedy,
            id="roost.W003",
        )


def _served_from(location: Any) -> str:
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        root = getattr(settings, name)
        if root and Path(location).resolve().is_relative_to(Path(root).resolve()):
            return f"{location} is inside {name}"
    return ""


def _bucket_open(options: dict[str, Any]) -> str:
    if str(options.get("default_acl") or "").startswith("public"):
        return f"its default_acl is {options['default_acl']!r}"
    return "its addresses need no signature" if options.get("querystring_auth") is False else ""


@check
def tracing_without_opentelemetry(**_options: Any) -> Found:
    """Find that traces are wished for and cannot be made."""
    if roost.TRACE_SHARE > 0 and not tracing.is_there():
        yield Warning(
            f"ROOST_TRACE_SHARE is {roost.TRACE_SHARE:g}, and OpenTelemetry is not installed: nothing is traced.",
            hint="pip install roost-django[otel], or set ROOST_TRACE_SHARE to 0.",
            id="roost.W030",
        )


@check
def channel_layer_in_memory(**_options: Any) -> Found:
    """Find that hints of changes reach no other process."""
    using = work_database()
    if using in connections and connections[using].vendor == "postgresql":
        return  # it sends notices itself
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    if str(layer.get("BACKEND", "")).endswith("InMemoryChannelLayer"):
        yield Info(
            "The channel layer is in memory: pages hear of other processes' work by looking, not at once.",
            hint="Set CHANNEL_LAYERS['default']['BACKEND'] = 'channels_redis.core.RedisChannelLayer'.",
            id="roost.I001",
        )
