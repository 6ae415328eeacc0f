"""Check what a webhook target has, and return it in the form in which it is stored. Touches no database."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django.views.decorators.debug import sensitive_variables

from runtime import conditions, jsondata
from runtime.choices import TargetEvent, Verifier
from runtime.exceptions import InvalidInput
from runtime.operations import fields, item_options
from runtime.operations.hook_values import MAX_NAME, MAX_NOTE
from runtime.operations.notices import CONTENTS, DEFAULT_CONTENTS
from runtime.sentences import say as _
from runtime.signatures import ENV, is_env, secret_to_keep
from runtime.weblinks import url_trouble

ANY_URL = "https://somewhere.example/"
"""Stands for an address that is looked up later."""
COLUMNS = ("url", "events", "namespace", "engine", "condition", "contents", "redact", "options", "enabled", "note")


class TargetOptions(TypedDict, total=False):
    """What a target has; what is left out stays as it is, or is the default of a new target."""

    url: str
    events: Sequence[str]
    namespace: str
    engine: str
    condition: str
    contents: Sequence[str]
    redact: bool
    options: Mapping[str, Any]
    secret: str
    enabled: bool
    note: str


@sensitive_variables()
def declared(name: str, given: Any) -> dict[str, Any]:
    """Return the columns of a target that the settings declare, its secret in the form in which it is kept.

    Its url may be `env:NAME` too: an address may be as good as a password. It is read where it is called, see
    `address`: who enqueues a delivery need not know it. Raises `InvalidInput`.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput(
            _("The target %(name)r is a %(kind)s; it must be a mapping.", name=name, kind=type(given).__name__),
            field="name",
        )
    url = given.get("url")
    elsewhere = {"url": url} if isinstance(url, str) and is_env(url) else {}
    values = checked(name, {**given, "url": ANY_URL} if elsewhere else given)
    return values | elsewhere | {"secret": secret_to_keep(given.get("secret"), Verifier.HMAC)}


@sensitive_variables()
def address(url: str) -> str:
    """Return the address that a target's url is, or leads to in the environment. Raises `InvalidInput`."""
    if not is_env(url):
        return url
    variable = url.removeprefix(ENV)
    found = os.environ.get(variable, "")
    if not found:
        raise InvalidInput(_("The url is in %(variable)s, which is not set here.", variable=variable), field="url")
    return _url(found)


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target's columns, its secret apart. Raises `InvalidInput`; touches no database."""
    if unknown := [repr(key) for key in given if key not in TargetOptions.__annotations__]:
        allowed = ", ".join(TargetOptions.__annotations__)
        raise InvalidInput(
            _(
                "The target %(name)r has %(names)s; it takes %(allowed)s.",
                name=name,
                names=", ".join(unknown),
                allowed=allowed,
            ),
            field="name",
        )
    condition = given.get("condition") or ""
    if condition:
        conditions.condition(condition)
    options = item_options.checked(given.get("options") or {})
    item_options.for_enqueue(options)
    contents = given.get("contents")
    return {
        "name": fields.name(name, "name", limit=MAX_NAME),
        "url": _url(given.get("url", "")),
        "events": _chosen(given.get("events") or (), TargetEvent.values, "events"),
        "namespace": fields.name(given["namespace"], "namespace") if given.get("namespace") else "",
        "engine": fields.text(given["engine"], "engine", limit=100) if given.get("engine") else "",
        "condition": condition,
        "contents": _chosen(DEFAULT_CONTENTS if contents is None else contents, CONTENTS, "contents", some=False),
        "redact": bool(given.get("redact", True)),
        "options": options,
        "enabled": bool(given.get("enabled", True)),
        "note": fields.text(given["note"], "note", limit=MAX_NOTE) if given.get("note") else "",
    }


def _url(url: Any) -> str:
    trouble = url_trouble(url) if isinstance(url, str) else "it is no text"
    if trouble:
        # Not shown: what somebody takes for an address may hold a token.
        raise InvalidInput(
            _("The url cannot be called: %(trouble)s. Give an http or https URL.", trouble=trouble), field="url"
        )
    jsondata.check(url, "url")
    return str(url)


def _chosen(given: Any, known: Sequence[str], field_: str, *, some: bool = True) -> list[str]:
    """Return what was chosen, in our order, each once."""
    wrong = isinstance(given, str) or not isinstance(given, Sequence) or any(one not in known for one in given)
    if wrong or (some and not given):
        least = "one or more" if some else "any"
        raise InvalidInput(
            _("%(field)s must be a list of %(least)s of %(names)s.", field=field_, least=least, names=", ".join(known)),
            field=field_,
        )
    return [one for one in known if one in given]
