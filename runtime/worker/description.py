"""Say what is kept of an error that a step raised, and which errors have one cause. Pure."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping
from typing import Any

from runtime.choices import ErrorCategory
from runtime.errors import Verdict
from runtime.exceptions import NotJSON, StepError
from runtime.jsondata import clean, dumps
from runtime.worker.run import Run

MAX_TRACEBACK = 20_000
MAX_MESSAGE = 4_000


def describe(run: Run, error: BaseException, attempt: int, verdict: Verdict) -> tuple[str, str]:
    """Return an error as JSON text for the item, and its fingerprint: the same for errors of one cause.

    The fingerprint covers engine, exception type, code and the innermost frame, not the message, which often
    carries ids and times. Never raises: of an error that breaks the description no more is kept than its type.
    """
    try:
        return _described(run, error, attempt, verdict)
    except Exception as broken:  # noqa: BLE001 - whatever an error is made of, it must not end the worker's thread
        name = clean(type(error).__qualname__)
        told = f"<{name} that cannot be described: {type(broken).__name__}>"
        plain = {"type": name, "code": "", "category": str(ErrorCategory.UNKNOWN), "message": told, "traceback": ""}
        fingerprint = _fingerprint(run, name, "", "")
        return dumps({**plain, "attempt": attempt, "version": run.version, "details": {}}), fingerprint


def _described(run: Run, error: BaseException, attempt: int, verdict: Verdict) -> tuple[str, str]:
    name = type(error).__qualname__
    code = str(verdict.code)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    fingerprint = _fingerprint(run, name, code, place)
    lines = "".join(traceback.format_exception(error))
    details: Any = error.details if isinstance(error, StepError) else {}
    entry = {
        "type": name,
        "code": clean(code),
        "category": verdict.category,
        "message": clean(_text(error))[:MAX_MESSAGE],
        "traceback": clean(lines)[-MAX_TRACEBACK:],
        "attempt": attempt,
        "version": run.version,
    }
    try:
        return dumps({**entry, "details": dict(details) if isinstance(details, Mapping) else details}), fingerprint
    except NotJSON:
        return dumps({**entry, "details": {"unstorable": clean(repr(details))[:MAX_MESSAGE]}}), fingerprint


def _fingerprint(run: Run, name: str, code: str, place: str) -> str:
    told = f"{run.claimed.engine}|{name}|{code}|{place}"
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure it stands for
        return f"<{type(error).__name__} whose text cannot be read>"
