"""Normalise the resources an item asks for.

    "domain:example.com"                                     exclusive, held while a step runs
    {"key": "gpu", "mode": "counted", "units": 2}            two units of a counted resource
    {"key": "repo:x", "mode": "shared", "scope": "item"}     shared, kept until the item ends

All that an item asks for is claimed together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.choices import ClaimMode, ClaimScope
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations import fields
from runtime.sentences import say as _

NONE = "[]"
MAX_KEY = 200
_ALLOWED = ("key", "mode", "units", "scope")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def normalise(resources: Any) -> str:
    """Return the JSON list of {"key", "mode", "units", "scope"} to store. Raises `InvalidInput`; pure."""
    if isinstance(resources, str | bytes | Mapping) or not isinstance(resources, Sequence):
        raise InvalidInput(
            _("resources is a %(kind)s; it must be a list of strings or mappings.", kind=type(resources).__name__),
            field="resources",
        )
    if not resources:
        return NONE
    if len(resources) > roost.MAX_RESOURCES:
        raise InvalidInput(
            _(
                "resources has %(count)s entries; ROOST_MAX_RESOURCES allows %(max_resources)s.",
                count=len(resources),
                max_resources=roost.MAX_RESOURCES,
            ),
            field="resources",
        )
    claims = [_claim(entry, f"resources[{place}]") for place, entry in enumerate(resources)]
    seen: set[str] = set()
    for place, claim in enumerate(claims):
        if claim["key"] in seen:
            raise InvalidInput(
                _("resources names %(claim)r twice. Ask for it once.", claim=claim["key"]), field=f"resources[{place}]"
            )
        seen.add(claim["key"])
    return _encode(claims)


def _claim(entry: Any, field: str) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"key": entry}
    if not isinstance(entry, Mapping):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be a string or a mapping.", field=field, kind=type(entry).__name__),
            field=field,
        )
    unknown = [repr(key) for key in entry if key not in _ALLOWED]
    if unknown or "key" not in entry:
        wrong = f"does not know {', '.join(unknown)}" if unknown else "has no 'key'"
        raise InvalidInput(
            _("%(field)s %(wrong)s; it takes %(names)s.", field=field, wrong=wrong, names=", ".join(_ALLOWED)),
            field=field,
        )
    mode = _choice(entry.get("mode", ClaimMode.EXCLUSIVE), ClaimMode.values, f"{field}.mode")
    units = fields.whole(entry.get("units", 1), f"{field}.units", fields.INT)
    if units != 1 and mode != ClaimMode.COUNTED:
        raise InvalidInput(
            _("%(field)s.units is for the mode 'counted'; the mode here is %(mode)r.", field=field, mode=mode),
            field=f"{field}.units",
        )
    return {
        "key": fields.text(entry["key"], f"{field}.key", limit=MAX_KEY),
        "mode": mode,
        "units": units,
        "scope": _choice(entry.get("scope", ClaimScope.STEP), ClaimScope.values, f"{field}.scope"),
    }


def _choice(value: Any, allowed: list[str], field: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInput(
            _(
                "%(field)s is %(value)r; it must be one of %(names)s.",
                field=field,
                value=value,
                names=", ".join(allowed),
            ),
            field=field,
        )
    return str(value)
