"""The one family of errors that Roost raises.

Each message says what happened, to which item, and what to do. `code` is stable and meant for machines
(API bodies, `--format json`, dead letters); it is never translated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from runtime.retry import RetryPolicy


class RoostError(Exception):
    """Base of every error of Roost."""

    code = "error"


class InvalidInput(RoostError, ValueError):
    """What a caller handed in cannot be accepted; nothing was stored.

    `field` names the offending argument ("payload", "resources[1]", …).
    """

    code = "invalid"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotJSON(InvalidInput):
    """A value cannot be stored as JSON exactly as it is."""

    code = "not_json"


class TooLarge(NotJSON):
    """A value is plain JSON, but larger than may be stored."""

    code = "too_large"


class UnknownEngine(InvalidInput, LookupError):
    """No engine of that name is registered."""

    code = "unknown_engine"


class EngineLoadError(RoostError):
    """A registered engine cannot be imported or is not an engine."""

    code = "engine_load_error"
    field = "engine"


class NotFound(RoostError, LookupError):
    """No such item, worker, artifact or engine in the namespaces the caller may see."""

    code = "not_found"


class Forbidden(RoostError, PermissionError):
    """The caller lacks the permission the operation asks for."""

    code = "forbidden"


class Conflict(RoostError):
    """The item is in a state, or has a version, that does not allow the operation; nothing was changed.

    `state` is the state the item was found in.
    """

    code = "conflict"

    def __init__(self, message: str, *, state: str = "") -> None:
        super().__init__(message)
        self.state = state


class StaleVersion(Conflict):
    """The row changed since the caller read it (compare-and-set on `row_version` failed)."""

    code = "stale_version"


class IdempotencyConflict(Conflict):
    """The idempotency key is taken by an item with another engine or payload."""

    code = "idempotency_conflict"


class Fenced(RoostError):
    """The lease is no longer ours: the write was refused whole."""

    code = "fenced"


class StepError(RoostError):
    """Base of what a step may raise to say how it failed.

    `details` must be JSON; it is kept with the error. `category` is one of `choices.ErrorCategory`. A `code` that is no
    text, such as the number of an HTTP answer, becomes one. A subclass need not call this `__init__`.
    """

    code = "step_error"
    category: ClassVar[str] = "unknown"
    details: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str = "", *, code: object = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = type(self).code if code in ("", None) else str(code)
        self.details = details or {}


class RetryableError(StepError):
    """The step failed, and running it again may help.

    `retry_after` (seconds, or a timedelta) replaces the backoff of the engine's retry policy for this one time;
    `policy` replaces the policy, its number of attempts included.
    """

    code = "retryable"
    category = "transient"
    retry_after: float | None = None
    policy: RetryPolicy | None = None

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | dt.timedelta | None = None,
        policy: RetryPolicy | None = None,
        code: object = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.retry_after = retry_after.total_seconds() if isinstance(retry_after, dt.timedelta) else retry_after
        self.policy = policy


class PermanentError(StepError):
    """The step failed, and running it again cannot help: the item goes to the dead letters at once."""

    code = "permanent"


class InvalidData(PermanentError):
    """What the step was given, or got, is not what it can work on: the data has to change first."""

    code = "invalid_data"
    category = "validation"


class Declined(PermanentError):
    """A rule of the business says no: the account is closed, the order is paid already."""

    code = "declined"
    category = "business"


class AccessDenied(PermanentError):
    """Somebody has to grant a right or renew a credential first."""

    code = "access_denied"
    category = "permission"


class WrongOutcome(InvalidData):
    """A step returned something that is not an outcome; the message names the type."""

    code = "wrong_outcome"


class SnapshotMutated(InvalidData):
    """A step changed the snapshot it was given instead of returning a new one."""

    code = "snapshot_mutated"


class UnstorableOutcome(InvalidData):
    """A step returned a state or result that JSON cannot hold, or that is too large."""

    code = "unstorable_outcome"


class StepTimeout(RetryableError):
    """A step ran longer than its time limit."""

    code = "step_timeout"


class JournalMismatch(PermanentError):
    """A recorded call was asked for under its key with another input."""

    code = "journal_mismatch"


class CallFailed(PermanentError):
    """A recorded call failed for good: raised when it fails, and again without calling until the entry is reset.

    `details["error"]` is what was recorded of the callee's error; `code` is its code, where it has one.
    """

    code = "call_failed"


class CallInDoubt(PermanentError):
    """Nobody knows whether a recorded call happened, and its policy is not to make it again."""

    code = "call_in_doubt"


class QuotaExceeded(Declined):
    """A call was not made because as many were made already as are allowed; `details` say how many in which time."""

    code = "quota_exceeded"


class CallTimeout(RetryableError):
    """A recorded call took longer than its policy allows; it may have happened."""

    code = "call_timeout"


class CallAfterWrite(PermanentError):
    """A step asked for a recorded call although its transaction has written already, which locks the journal out."""

    code = "call_after_write"


class WriteInCall(PermanentError):
    """What a step called wrote to the work database, in the step's own transaction."""

    code = "write_in_call"


class JournalUnavailable(RetryableError):
    """The journal could not be written now. A call that was being made is in doubt; one not begun was not made."""

    code = "journal_unavailable"


class JournalRefused(RoostError):
    """The store refuses what is to be recorded, and would again."""

    code = "journal_refused"


class Cancelled(RoostError):
    """The item was cancelled, or its lease lost, while the step ran; raised by `ctx.raise_if_cancelled()`."""

    code = "cancelled"


class StorageUnavailable(RetryableError):
    """The artifact storage did not take or give the bytes; the step is retried."""

    code = "storage_unavailable"


class WorkspaceUnavailable(RetryableError):
    """The item's workspace cannot be had now: git or its source does not answer, or the disk, or another has it."""

    code = "workspace_unavailable"


class WorkspaceRefused(PermanentError):
    """No workspace can be made from what was asked for: a source or ref that is not allowed, or not there."""

    code = "workspace_refused"


class DeliveryRefused(RoostError):
    """A request to a webhook was not taken; nothing was enqueued.

    `code` says why: unauthorised, disabled, too_large, bad_body, no_delivery_id, invalid, unavailable. An unknown
    webhook is unauthorised, like a wrong signature.
    """

    code = "unauthorised"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RefusedAddress(AccessDenied):
    """A call out was not made, or a redirect not followed: its URL or address is not one that may be called."""

    code = "refused_address"


class ReplyRefused(InvalidData):
    """A call out was answered with more than may be read, or in a form that is not read. It may have had its effect."""

    code = "reply_refused"


class CorruptArtifact(RoostError):
    """The bytes of an artifact are gone from the storage, or are not those that were stored."""

    code = "corrupt_artifact"
