"""Check Roost's own settings and the engines that they name."""

from __future__ import annotations

import difflib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 - Django's names
from django.views.decorators.debug import sensitive_variables

from runtime import keeping, offload, reach, registry, scanning
from runtime.checks.check import Found, check
from runtime.conf import PREFIX, BadSetting, Settings, names
from runtime.conf import settings as roost
from runtime.deliveries import ENGINE
from runtime.exceptions import InvalidInput, RoostError
from runtime.operations import hook_values, target_values, triggers
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.outgoing.addresses import read_allowed
from runtime.queries import redaction
from runtime.signatures import read_secret, secret_to_keep

AT_LEAST_ZERO = frozenset({"STICKY_SECONDS", "BACKOFF_BASE", "BACKOFF_CAP", "GRACE_SECONDS"})
SHARES = frozenset({"BACKOFF_JITTER", "TRACE_SHARE"})
BEATS_IN_A_LEASE = 3
SHORTEST_LINK_KEY = 32


@check
def setting_of_wrong_type(**_options: Any) -> Found:
    """Find settings that have the wrong type."""
    for name in sorted(Settings.__annotations__):
        try:
            getattr(roost, name)
        except BadSetting as error:
            yield Error(str(error), hint=f"Correct {PREFIX}{name} in your settings.", id="roost.E001")


@check
def setting_out_of_range(**_options: Any) -> Found:
    """Find numbers that make no sense."""
    for name in sorted(Settings.__annotations__):
        value = getattr(roost, name)
        if name in SHARES:
            if not 0 <= value <= 1:
                yield _out_of_range(name, value, "a share between 0 and 1")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if name in AT_LEAST_ZERO and not value >= 0:
                yield _out_of_range(name, value, "0 or more")
            elif name not in AT_LEAST_ZERO and not value > 0:
                yield _out_of_range(name, value, "more than 0")


def _out_of_range(name: str, value: float, allowed: str) -> CheckMessage:
    default = getattr(Settings, name)
    hint = f"Give it {allowed}, or remove it for the default {default!r}."
    return Error(f"{PREFIX}{name} = {value!r} is out of range.", hint=hint, id="roost.E002")


@check
def lease_shorter_than_three_heartbeats(**_options: Any) -> Found:
    """Find a lease that one late heartbeat would lose."""
    lease, beat = roost.LEASE_SECONDS, roost.HEARTBEAT_SECONDS
    if lease < BEATS_IN_A_LEASE * beat:
        yield Error(
            f"A lease of {lease:g} s is renewed every {beat:g} s: a late heartbeat would lose running steps.",
            hint=f"Set ROOST_LEASE_SECONDS = {BEATS_IN_A_LEASE * beat:g} or more, or ROOST_HEARTBEAT_SECONDS lower.",
            id="roost.E003",
        )


@check
def workspaces_root_not_absolute(**_options: Any) -> Found:
    """Find a folder for workspaces that depends on where a process was started."""
    root: str | None = roost.WORKSPACES_ROOT
    if root is not None and not Path(root).is_absolute():
        yield Error(
            f"ROOST_WORKSPACES_ROOT = {root!r} is no absolute path: each process would look elsewhere.",
            hint="Set ROOST_WORKSPACES_ROOT to an absolute path, or remove it if no engine has workspaces.",
            id="roost.E015",
        )


@check
def git_missing(**_options: Any) -> Found:
    """Find workspaces without the tool that makes them."""
    if roost.WORKSPACES_ROOT and shutil.which("git") is None:
        yield Warning(
            "ROOST_WORKSPACES_ROOT is set, but there is no git here: no workspace can be made.",
            hint="Install git on every host whose workers run engines with workspaces.",
            id="roost.W015",
        )


@check
def outgoing_rules_wrong(**_options: Any) -> Found:
    """Find rules for calls out that would stop every call, or that nobody can have meant."""
    if wrong := _wrong_with_outgoing():
        hint = "Correct ROOST_OUTGOING_ALLOW or ROOST_OUTGOING_PORTS in your settings."
        yield Error(wrong, hint=hint, id="roost.E016")


def _wrong_with_outgoing() -> str:
    try:
        read_allowed(roost.OUTGOING_ALLOW)
    except ValueError as error:
        return f"ROOST_OUTGOING_ALLOW is wrong: {error}."
    wrong = [port for port in roost.OUTGOING_PORTS or () if type(port) is not int or not 0 < port < 65536]
    return f"ROOST_OUTGOING_PORTS has {wrong[0]!r}, which is no port." if wrong else ""


@check
def outgoing_allows_everything(**_options: Any) -> Found:
    """Find an allow list that leaves no guard."""
    wide = [entry for entry in roost.OUTGOING_ALLOW if str(entry).endswith("/0")]
    if wide:
        yield Warning(
            f"ROOST_OUTGOING_ALLOW has {wide[0]!r}: whoever writes a URL into a payload reaches every address.",
            hint="Name the networks or hosts that engines have to call.",
            id="roost.W016",
        )


@check
def unknown_setting(**_options: Any) -> Found:
    """Find ROOST_ settings that nobody reads."""
    known = names()
    for name in dir(settings):
        if name.startswith(PREFIX) and name.isupper() and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else "Remove it, or look it up in the settings reference."
            yield Warning(f"There is no setting {name}.", hint=hint, id="roost.W001")


@check
def steps_longer_than_the_grace_period(**_options: Any) -> Found:
    """Find a chosen step timeout that a stopping worker does not wait for."""
    chosen = hasattr(settings, "ROOST_STEP_TIMEOUT") or hasattr(settings, "ROOST_GRACE_SECONDS")
    longest, grace = roost.STEP_TIMEOUT, roost.GRACE_SECONDS
    if chosen and (longest is None or longest > grace):
        shown = "for ever" if longest is None else f"{longest:g} s"
        yield Info(
            f"A step may run {shown}, but a stopping worker waits {grace:g} s: a longer step is run again elsewhere.",
            hint=f"Set ROOST_GRACE_SECONDS to what your longest steps need, or ROOST_STEP_TIMEOUT = {grace:g} or less.",
            id="roost.I002",
        )


@check
def engine_not_found(**_options: Any) -> Found:
    """Find engines whose module is not there, without importing any."""
    for name, path in sorted(registry.paths().items()):
        module = path.rpartition(".")[0] if isinstance(path, str) else ""
        if not module or not _exists(module):
            yield Error(
                f"The engine {name!r} is to be found at {path!r}, but there is no module {module or path!r}.",
                hint=f"Correct ROOST_ENGINES[{name!r}]: the dotted path of an engine, 'package.module.Name'.",
                id="roost.E004",
            )


def _exists(module: str) -> bool:
    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


@check
def snapshot_policy_unknown(**_options: Any) -> Found:
    """Find policies for snapshots that do not exist, or are for engines that do not."""
    for name, policy in sorted(roost.SNAPSHOTS.items()):
        known = name in registry.paths()
        wrong = "" if known else f"ROOST_SNAPSHOTS names the engine {name!r}, which is not registered."
        try:
            keeping.parse(policy)
        except InvalidInput as error:
            wrong = f"ROOST_SNAPSHOTS[{name!r}]: {error}"
        if wrong:
            yield Error(wrong, hint=f"Correct or remove ROOST_SNAPSHOTS[{name!r}].", id="roost.E020")


@check
def offload_makes_no_sense(**_options: Any) -> Found:
    """Find that large values are to be moved to where they cannot go, or that values are which are not large."""
    most, alias = roost.OFFLOAD_BYTES, roost.ARTIFACT_STORAGE
    wrong: list[tuple[str, str]] = []
    if most and most < offload.LEAST:
        hint = f"Give {offload.LEAST} or more, or None to keep every value in the database."
        wrong.append((f"ROOST_OFFLOAD_BYTES is {most}; it counts as {offload.LEAST}.", hint))
    if most and alias not in settings.STORAGES:
        hint = f'Add STORAGES["{alias}"], which every host reaches, or remove ROOST_OFFLOAD_BYTES.'
        wrong.append((f"ROOST_OFFLOAD_BYTES is set, and STORAGES has no {alias!r} to keep large values in.", hint))
    for text, hint in wrong:
        yield Error(text, hint=hint, id="roost.E021")


@check
def redact_not_found(**_options: Any) -> Found:
    """Find a hook for redaction that is not there, or cannot be called: then pages show no contents at all."""
    if not roost.REDACT:
        return
    try:
        redaction.hook()
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        yield Error(
            f"ROOST_REDACT = {roost.REDACT!r} cannot be used: {error}",
            hint="Set ROOST_REDACT to the dotted path of a function, 'package.module.redact', or remove it.",
            id="roost.E025",
        )


@check
def scan_not_found(**_options: Any) -> Found:
    """Find a hook for scanning that is not there, or cannot be called: then no file is taken at all."""
    try:
        scanning.hook()
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        yield Error(
            f"ROOST_SCAN_UPLOADS = {roost.SCAN_UPLOADS!r} cannot be used: {error}",
            hint="Set ROOST_SCAN_UPLOADS to the dotted path of a function, 'package.module.scan', or remove it.",
            id="roost.E026",
        )


@check
def namespaces_of_not_found(**_options: Any) -> Found:
    """Find a hook for the namespaces of people that is not there, or cannot be called: then nobody reaches anything."""
    try:
        reach.hook()
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        yield Error(
            f"ROOST_NAMESPACES_OF = {roost.NAMESPACES_OF!r} cannot be used: {error}",
            hint="Set ROOST_NAMESPACES_OF to the dotted path of a function, 'package.module.namespaces_of', or remove "
            "it: then everybody reaches all namespaces.",
            id="roost.E027",
        )


@check
def link_key_too_short(**_options: Any) -> Found:
    """Find a key for links that somebody could find by trying."""
    key: str | None = roost.API_LINK_KEY
    if key and len(key) < SHORTEST_LINK_KEY:
        yield Warning(
            f"ROOST_API_LINK_KEY has {len(key)} characters: whoever guesses it makes links to every file.",
            hint=f"Give {SHORTEST_LINK_KEY} or more, made at random: python -c 'import secrets; "
            "print(secrets.token_urlsafe(48))'. Or remove it: then Django's SECRET_KEY signs.",
            id="roost.W026",
        )


@check
def trigger_makes_no_sense(**_options: Any) -> Found:
    """Find triggers of the settings that could not fire, or would for ever."""
    for name, given in sorted(roost.TRIGGERS.items()):
        if wrong := _wrong_with(name, given):
            yield Error(wrong, hint=f"Correct or remove ROOST_TRIGGERS[{name!r}].", id="roost.E009")


def _wrong_with(name: str, given: Any) -> str:
    try:
        values = triggers.checked(name, given)
        triggers.refuse_rings(values, triggers.edges_of_settings(but=name))
    except RoostError as error:
        return str(error)
    missing = [values[end] for end in ("engine", "target") if values[end] not in registry.paths()]
    return f"ROOST_TRIGGERS[{name!r}] names the engine {missing[0]!r}, which is not registered." if missing else ""


@check
def webhook_makes_no_sense(**_options: Any) -> Found:
    """Find webhooks of the settings that could take nothing."""
    for name, given in sorted(roost.WEBHOOKS.items()):
        if wrong := _wrong_with_webhook(name, given):
            yield Error(wrong, hint=f"Correct or remove ROOST_WEBHOOKS[{name!r}].", id="roost.E018")


@sensitive_variables()
def _wrong_with_webhook(name: str, given: Any) -> str:
    try:
        values = hook_values.checked(DEFAULT_NAMESPACE, name, given)
        kept = secret_to_keep(given.get("secret"), values["verifier"])
    except RoostError as error:
        return f"ROOST_WEBHOOKS[{name!r}]: {error}"
    if values["engine"] not in registry.paths():
        return f"ROOST_WEBHOOKS[{name!r}] names the engine {values['engine']!r}, which is not registered."
    if not read_secret(kept):
        return f"ROOST_WEBHOOKS[{name!r}] has its secret in {kept}, which is not set here, or shorter than it may be."
    return ""


@check
def webhook_target_makes_no_sense(**_options: Any) -> Found:
    """Find webhook targets of the settings that could be told nothing."""
    for name, given in sorted(roost.WEBHOOK_TARGETS.items()):
        if wrong := _wrong_with_webhook_target(name, given):
            yield Error(
                f"ROOST_WEBHOOK_TARGETS[{name!r}]: {wrong}",
                hint=f"Correct or remove ROOST_WEBHOOK_TARGETS[{name!r}].",
                id="roost.E022",
            )


@sensitive_variables()
def _wrong_with_webhook_target(name: str, given: Any) -> str:
    try:
        values = target_values.declared(name, given)
        target_values.address(values["url"])
    except RoostError as error:
        return str(error)
    missing = [one for one in (values["engine"], ENGINE) if one and one not in registry.paths()]
    if missing and values["enabled"]:
        return f"it needs the engine {missing[0]!r}, which is not registered."
    if not read_secret(values["secret"]):
        return f"its secret is in {values['secret']}, which is not set here, or shorter than it may be."
    return ""


@check
def engine_does_not_load(**_options: Any) -> Found:
    """Find engines that cannot be imported, or are none."""
    for name in registry.names():
        try:
            registry.get(name)
        except RoostError as error:
            hint = f"Run: python -c 'import {registry.paths()[name].rpartition('.')[0]}', and mend what it tells."
            yield Error(str(error), hint=hint, id="roost.E005")
