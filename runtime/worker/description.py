"""Say what is kept of an error that a step raised, and which errors have one cause. Pure."""

from __future__ import annotations

import hashlib
import traceback
from typing import Any

from runtime.errors import Verdict
from runtime.exceptions import NotJSON, StepError
from runtime.jsondata import clean, dumps
from runtime.worker.run import Run

MAX_TRACEBACK = 20_000
MAX_MESSAGE = 4_000


def describe(run: Run, error: BaseException, attempt: int, verdict: Verdict) -> tuple[str, str]:
    """Return an error as JSON text for the item, and its fingerprint: the same for errors of one cause.

    The fingerprint covers engine, exception type, code and the innermost frame, not the message, which often
    carries ids and times.
    """
    name = type(error).__qualname__
    code = verdict.code
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    fingerprint = hashlib.sha256(f"{run.claimed.engine}|{name}|{code}|{place}".encode()).hexdigest()[:16]
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
        return dumps({**entry, "details": details}), fingerprint
    except NotJSON:
        return dumps({**entry, "details": {"unstorable": clean(repr(details))[:MAX_MESSAGE]}}), fingerprint


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure it stands for
        return f"<{type(error).__name__} whose text cannot be read>"
