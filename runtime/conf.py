"""Read Roost's settings: flat `ROOST_*` names in Django's settings, typed, with defaults, read live.

    from runtime.conf import settings as roost
    roost.LEASE_SECONDS

Every attribute of `Settings` is a setting of the same name with `ROOST_` in front. Values are looked up at
each access, so that `override_settings` works in tests.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import Settings as DjangoSettings
from django.conf import settings as django_settings

from runtime.exceptions import RoostError

PREFIX = "ROOST_"


class BadSetting(RoostError):
    """A `ROOST_*` setting has the wrong type."""

    code = "bad_setting"


class Settings:
    """Typed view of the `ROOST_*` settings. Class attributes are the defaults."""

    # Engines: name → dotted path of an Engine class, an Engine instance or a function made by @engine.
    ENGINES: dict[str, str] = {}
    # Database alias of Roost's tables; None asks Django's router.
    DATABASE: str | None = None
    # Alias of a direct (not pooled) connection for LISTEN and the liveness lock; None uses the work database's.
    DIRECT_DATABASE: str | None = None

    # Seconds a lease lives without renewal, and between two renewals.
    LEASE_SECONDS: float = 15.0
    HEARTBEAT_SECONDS: float = 2.0
    # Seconds between two sweeps of one worker (jittered), and rows a sweep handles in one transaction.
    SWEEP_SECONDS: float = 1.0
    SWEEP_BATCH: int = 200
    # Longest sleep of an idle worker on PostgreSQL (a lost notice costs at most this), and on SQLite.
    POLL_SECONDS: float = 1.0
    SQLITE_POLL_SECONDS: float = 0.2
    # Seconds an item may keep its lease from step to step while others are waiting.
    STICKY_SECONDS: float = 1.0
    # Workers that an item, suspected after two deaths, may kill while it runs alone before it is quarantined.
    MAX_DEATHS: int = 3

    # Worker: processes, items in flight in each, atomic steps at once in each, seconds to finish at SIGTERM.
    WORKER_PROCESSES: int = 1
    WORKER_CONCURRENCY: int = 50
    ATOMIC_CONCURRENCY: int = 4
    GRACE_SECONDS: float = 25.0
    # Outcomes committed in one transaction at the most.
    COMMIT_BATCH: int = 100

    # What the deployment calls the release that a process runs; shown with workers.
    RELEASE: str = ""

    # Attempts of a step before the item goes to the dead letters; backoff in seconds.
    MAX_ATTEMPTS: int = 5
    BACKOFF_BASE: float = 1.0
    BACKOFF_CAP: float = 300.0
    BACKOFF_JITTER: float = 0.25
    # Time limits in seconds, None for no limit: of one step, and of a whole item (waiting and paused time excluded).
    STEP_TIMEOUT: float | None = 300.0
    ITEM_TIMEOUT: float | None = None
    # Steps an item may commit over its whole life, None for no limit.
    MAX_STEPS: int | None = None

    # Engine name → which snapshots are kept beside the latest, in place of the engine's own `snapshots`: "full",
    # "interval(20)" or "compact".
    SNAPSHOTS: dict[str, str] = {}

    # Seconds an approval or an input waits for people before its default is taken or the item fails.
    WAIT_SECONDS: float = 24 * 3600.0

    # Triggers of the product's code: name → {"engine", "on", "target"} and what else `set_trigger` takes.
    TRIGGERS: dict[str, dict[str, Any]] = {}

    # Triggers that may follow one another, each fired by the end of what the one before enqueued.
    TRIGGER_CHAIN: int = 1000

    # Firings that a schedule with catch-up "all" makes up for after an outage, and seconds after which a firing is
    # too late for one with catch-up "none".
    SCHEDULE_CATCH_UP: int = 100
    SCHEDULE_GRACE_SECONDS: float = 60.0

    # Limits on what is stored, in bytes of UTF-8 JSON; nesting depth.
    MAX_PAYLOAD_BYTES: int = 1024 * 1024
    MAX_STATE_BYTES: int = 8 * 1024 * 1024
    MAX_RESULT_BYTES: int = 8 * 1024 * 1024
    MAX_JSON_DEPTH: int = 100
    # Arguments of a tool call, and its result; what is larger is told as a result.
    MAX_TOOL_BYTES: int = 256 * 1024
    MAX_ARTIFACT_BYTES: int = 512 * 1024 * 1024
    # Files of one item, all together, beyond which none is uploaded to it; None for no limit.
    MAX_ITEM_ARTIFACT_BYTES: int | None = 1024 * 1024 * 1024
    # Dotted path of a callable that takes the name and the bytes of a file from outside, and returns why it is not
    # taken, or nothing.
    SCAN_UPLOADS: str | None = None
    # Largest document that a run is exported to or imported from.
    MAX_EXPORT_BYTES: int = 256 * 1024 * 1024
    # Resources one item may ask for, and items one bulk enqueue may take.
    MAX_RESOURCES: int = 32
    MAX_BULK: int = 10_000

    # Storage alias of artifacts, and seconds after which bytes that no committed step owns are swept.
    ARTIFACT_STORAGE: str = "roost_artifacts"
    ARTIFACT_ORPHAN_SECONDS: float = 24 * 3600.0

    # Payloads, states and results whose JSON is longer than so many characters are kept in the artifact storage, and
    # referred to; None or 0 keeps them in the database. Less than 65,536 counts as that.
    OFFLOAD_BYTES: int | None = None

    # Absolute path of the folder for items' workspaces, None for no workspaces; beginnings of the sources that they may
    # be made from, none for any; seconds that one git command may take.
    WORKSPACES_ROOT: str | None = None
    WORKSPACE_SOURCES: list[str] = []
    WORKSPACE_SECONDS: float = 300.0

    # Calls out, beyond the public internet: networks ("10.1.0.0/16") and host names that may be called too, on any
    # port; ports that may be called on the public internet, None for any.
    OUTGOING_ALLOW: list[str] = []
    OUTGOING_PORTS: list[int] | None = [80, 443]

    # Webhooks of the product's code: name → {"engine", "verifier", "secret"} and what else `set_webhook` takes; bytes
    # of a request's body that are read before its signature is known.
    WEBHOOKS: dict[str, dict[str, Any]] = {}
    MAX_WEBHOOK_BYTES: int = 1024 * 1024
    # Webhook targets of the product's code: name → {"url", "events", "secret"} and what else `set_target` takes.
    WEBHOOK_TARGETS: dict[str, dict[str, Any]] = {}

    # The API: bytes of a body or an exported run, and of an uploaded file; items of one bulk request; requests of one
    # caller in a minute (None: any number), counted in this one of Django's caches; milliseconds a statement may read
    # (PostgreSQL); seconds that a request may wait for a result, and that a stream of events lasts, and requests of
    # one process that may at once; seconds for which an Idempotency-Key is known again.
    API_MAX_BODY_BYTES: int = 16 * 1024 * 1024
    API_MAX_UPLOAD_BYTES: int = 64 * 1024 * 1024
    API_MAX_BULK: int = 1_000
    API_REQUESTS_PER_MINUTE: int | None = 12_000
    API_CACHE: str = "default"
    API_STATEMENT_MS: int = 5_000
    API_WAIT_SECONDS: float = 30.0
    API_STREAM_SECONDS: float = 60.0
    API_WAITERS: int = 32
    API_KEY_SECONDS: float = 24 * 3600.0
    # Links to files that carry no token: seconds for which one may be good, and the key that signs them, None for one
    # made of Django's SECRET_KEY; another key ends all links that there are.
    API_LINK_SECONDS: float = 7 * 24 * 3600.0
    API_LINK_KEY: str | None = None

    # Days after which what has ended is removed with all that belongs to it, None for never: done and cancelled items,
    # and dead letters.
    RETENTION_DAYS: float | None = 30.0
    RETENTION_FAILED_DAYS: float | None = 90.0
    # Days after which events and snapshots of items that stay are removed, but for the latest, and signals for names
    # that nobody came for; None for never.
    RETENTION_HISTORY_DAYS: float | None = 90.0

    # Dotted path of a callable that takes a JSON value, what looks like a secret taken out of it already, and returns
    # what the admin and the API show of it; and whether the API masks anything at all.
    REDACT: str | None = None
    API_REDACT: bool = True
    # Dotted path of a callable that takes a user and returns the names of the namespaces that they reach in the admin
    # and by their session in the API, None or "*" for all; without it everybody reaches all.
    NAMESPACES_OF: str | None = None
    # Bearer token with which roost/metrics may be read without a login, None for none; whether roost/health/ready asks
    # for a live worker too.
    METRICS_TOKEN: str | None = None
    READY_NEEDS_WORKER: bool = False
    # Share of items whose steps OpenTelemetry is told of, 0.0 for none, 1.0 for all; read as Django starts.
    TRACE_SHARE: float = 0.0

    # Milliseconds an internal statement may wait for a lock, and run.
    LOCK_TIMEOUT_MS: int = 5_000
    STATEMENT_TIMEOUT_MS: int = 30_000

    def __getattribute__(self, name: str) -> Any:
        annotation = _ANNOTATIONS.get(name)
        if annotation is None:
            return object.__getattribute__(self, name)
        default = getattr(Settings, name)
        value = _given(_FULL_NAMES[name], default)
        if value is default or _fits(value, default, annotation):
            return value
        raise BadSetting(f"{PREFIX}{name} = {value!r} is a {type(value).__name__}; it must be {annotation}.")


_ANNOTATIONS: dict[str, str] = Settings.__annotations__
_FULL_NAMES = {name: sys.intern(PREFIX + name) for name in _ANNOTATIONS}
# Django's own attributes, without its Python-level lookup: a setting that is not set costs an exception there, and
# every step looks up several.
_LAZY: dict[str, Any] = object.__getattribute__(django_settings, "__dict__")


def _given(name: str, default: Any) -> Any:
    given = _LAZY.get("_wrapped")
    if type(given) is DjangoSettings:
        return given.__dict__.get(name, default)
    return getattr(django_settings, name, default)


def _fits(value: Any, default: Any, annotation: str) -> bool:
    if value is None:
        return "None" in annotation
    if isinstance(value, bool):
        return annotation.startswith("bool")
    if annotation.startswith("float"):
        return isinstance(value, int | float)
    if annotation.startswith("int"):
        return isinstance(value, int)
    if annotation.startswith("str"):
        return isinstance(value, str)
    return isinstance(value, type(default)) if default is not None else True


def names() -> frozenset[str]:
    """Return every setting's full name, `ROOST_…`."""
    return frozenset(PREFIX + name for name in Settings.__annotations__)


settings = Settings()
